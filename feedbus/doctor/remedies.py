"""Why a check failed, most likely, and what to do about it, in plain words. Pure.

Each function is given what was found, and returns one or two sentences. They name keys of the configuration, commands
and files of this machine, and never a value that might be a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.doctor.certificates import Certificate
from feedbus.doctor.words import some
from feedbus.errors import (
    BadData,
    ClosedByPeer,
    ConnectFailed,
    LoginRefused,
    ProxyFailed,
    RateLimited,
    TimedOut,
    VenueError,
)
from feedbus.text import time_span

# What X509_verify_cert says: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
NOT_YET_VALID, EXPIRED = 9, 10
SELF_SIGNED, SELF_SIGNED_IN_CHAIN, NO_ISSUER_HERE, NO_ISSUER_AT_ALL = 18, 19, 20, 21
WRONG_NAME, WRONG_ADDRESS = 62, 64

RUSSIAN_AUTHORITY = "Russian Trusted"
"""How the names of the authorities of the Russian Ministry of Digital Development begin, root and sub."""

# What getaddrinfo(3) says, as Linux numbers it.
NO_SUCH_NAME, TRY_AGAIN, NO_ADDRESS = -2, -3, -5


def of_lookup(host: str, errors: Sequence[int]) -> str:
    """Nobody told us the address of this host. `errors` are the numbers of getaddrinfo(3)."""
    if TRY_AGAIN in errors:
        return (
            f"No name server answers, so this machine has no network, or its DNS is set wrongly: try "
            f"`getent hosts {host}` and look at /etc/resolv.conf. Behind a proxy that looks names up by itself, "
            "name it by `proxy: socks5h://…` or `proxy: http://…`."
        )
    return (
        f"The name servers don't know {host}: look for a typing error in the address, and try `getent hosts {host}` "
        "here and on a machine where it works. Some providers' name servers leave foreign names out."
    )


def of_tcp(place: str, failures: Sequence[str], *, is_proxy: bool) -> str:
    """No address of this host and port takes a connection; `failures` says why not, each in one of the words below."""
    what = "proxy" if is_proxy else "server"
    if "refused" in failures:
        return (
            f"The machine answers, and nothing listens at {place}: compare the port with what the {what}'s owner says, "
            f"and see whether the {what} is down."
        )
    if "no route" in failures:
        return "This machine has no way to that network: look at `ip route`, and at the VPN if there is one."
    return (
        f"Nothing answers from {place}. A firewall drops what we send, here, at the provider or at the venue, or the "
        "venue takes connections from some countries or addresses alone. Try from another network; where only a proxy "
        "leads out, name it by `proxy`."
    )


def of_certificate(
    code: int, shown: Certificate | None, host: str, *, ca_file: str, system_accepts: bool, now: float
) -> str:
    """The certificate that was shown isn't accepted. `code` is OpenSSL's; `shown` is None when it can't be read.

    `ca_file` is the path in the configuration, "" for the system's authorities; `system_accepts` is whether those
    accept what the file doesn't. `now` is in seconds since the epoch.
    """
    if code in (EXPIRED, NOT_YET_VALID):
        return _of_validity(code, shown, now)
    if code in (WRONG_NAME, WRONG_ADDRESS):
        names = f"It is for {some(shown.names)}. " if shown is not None and shown.names else ""
        return (
            f"{names}So the address in the configuration isn't the one that the venue uses, or somebody else answers "
            f"for it: correct the host {host}, and look at what its name leads to."
        )
    if system_accepts:
        return (
            f"The system's authorities accept it, and {ca_file}, which takes their place, doesn't hold the one that is "
            "needed: leave ca_file out, or add that authority to the file."
        )
    return _of_authority(code, shown, ca_file)


def _of_validity(code: int, shown: Certificate | None, now: float) -> str:
    clock = "Compare the clock of this machine with the true time (the check clock, or `timedatectl`)"
    if shown is None:
        return f"{clock}. If it is right, the venue has to renew its certificate."
    if code == NOT_YET_VALID:
        return f"It becomes good in {time_span(shown.not_before - now)} by our clock. {clock}: it is probably behind."
    return (
        f"It ended {time_span(now - shown.not_after)} ago by our clock. {clock}; if it is right, the venue has to "
        "renew its certificate, or something between us and the venue shows an old one."
    )


def _of_authority(code: int, shown: Certificate | None, ca_file: str) -> str:
    key = f"add it to {ca_file}" if ca_file else "name the file by ca_file in this feed"
    if shown is not None and RUSSIAN_AUTHORITY in f"{shown.issuer} {shown.subject}":
        return (
            f"It is issued by the Russian Ministry of Digital Development ({shown.issuer}), whose root few systems"
            " outside of Russia hold. Get the Russian Trusted Root CA and Sub CA (https://www.gosuslugi.ru/crt), "
            f"compare their fingerprints with a second source, put both as PEM into one file, and {key}. Other "
            "addresses of the feed, such as rest and auth, are judged by the same file, so put their authorities into "
            "it too. Never switch the verification off."
        )
    issuer = "" if shown is None else f" ({shown.issuer})"
    if code == SELF_SIGNED or (shown is not None and shown.is_self_signed):
        return (
            "It is signed by itself: this is a test server or a device in between, and not the venue's own. If you "
            f"trust it, get the certificate by a safe way, and {key}."
        )
    return (
        f"The authority{issuer} isn't among those that are trusted here. If it is your company's, whose proxy looks "
        f"into encrypted connections, or the venue's own, get its root as PEM by a safe way, and {key}. Otherwise the "
        "system's authorities are old or missing (Debian: `apt install ca-certificates`), or somebody is listening in."
    )


def of_tls(reason: str) -> str:
    """The TLS handshake failed for another reason than the certificate."""
    if "wrong version number" in reason or "record layer failure" in reason:
        return "The server doesn't speak TLS at this port: the port is wrong, or the address has to begin with ws://."
    if "protocol version" in reason or "unsupported protocol" in reason:
        return "The server offers nothing newer than TLS 1.1, which feedbus refuses: something old answers in between."
    if "handshake failure" in reason:
        return (
            "The server accepts none of our ciphers. One that wants GOST alone can't be reached with this OpenSSL: ask "
            "the venue for an address with usual ciphers."
        )
    return (
        "The connection was cut while it was being encrypted. Something in between inspects connections and doesn't "
        "like this name, or the server is overloaded: try from another network."
    )


def of_connection(error: VenueError) -> str:
    """The WebSocket couldn't be opened, or a request over HTTP failed."""
    match error:
        case ProxyFailed():
            return "The proxy is why: look at its address and login, and whether it lets us through to this port."
        case RateLimited():
            ban = "The venue has banned this IP address. " if error.banned else ""
            return (
                f"{ban}Stop everything that asks the venue from this address, wait as long as it says, and set budgets "
                "for all of your programs together."
            )
        case TimedOut():
            return (
                "The server takes connections and doesn't answer: it is overloaded, or the address is of another "
                "service. A proxy has half of connect_timeout; raise it on a slow line."
            )
        case _:
            return next((advice for words, advice in _OF_HTTP.items() if words in str(error)), _OF_OTHERS)


def of_list(error: VenueError | None, *, is_needed: bool) -> str:
    """The venue gave no list of its symbols; `error` is None when it took too long. `is_needed` is whether the feed's
    symbols are chosen from it."""
    match error:
        case None | TimedOut():
            advice = "The venue's REST service is slow or overloaded: try again in some minutes."
        case BadData():
            advice = (
                "What answers at rest isn't the venue's REST service, or it is under maintenance, or its firewall "
                "shows a page for people: open the address in a browser on this machine's network."
            )
        case _:
            advice = of_connection(error)
    return advice if is_needed else f"{advice} Data doesn't wait for it: only what it says of instruments is missing."


_OF_OTHERS = "Compare host, port and path of the address with the venue's documentation, and try again in a minute."
_TURNED_AWAY = (
    "The venue turns us away before any login: it doesn't serve this country or address, or its firewall takes us for "
    "an attacker, or the path of the url is wrong."
)
_NO_PATH = "There is no WebSocket at this path: compare the url with the venue's documentation."
_OF_HTTP = {
    "HTTP 401": _TURNED_AWAY,
    "HTTP 403": _TURNED_AWAY,
    "HTTP 451": _TURNED_AWAY,
    "HTTP 400": _NO_PATH,
    "HTTP 404": _NO_PATH,
    "HTTP 5": "The venue is in trouble or under maintenance: try again in some minutes, and look at its status page.",
    "HTTP": "What answers is a web server and no WebSocket: compare host, port and path of the url.",
}
"""By what stands in the error; the first that does."""


def of_login(error: VenueError, names: Sequence[str]) -> str:
    """The venue didn't let us in. `names` are the names of the credentials that are configured."""
    match error:
        case LoginRefused() if names:
            return (
                f"The venue refuses what is configured as {', '.join(names)}. Log in by hand with the same values; "
                "look for a changed or expired password or token, a blank or a line feed at its end, quotes that YAML "
                "needs, and whether the account may use this service. Don't try often: accounts get locked."
            )
        case RateLimited() | ConnectFailed():
            return of_connection(error)
        case _:
            return next((advice for kind, advice in _OF_LOGIN.items() if isinstance(error, kind)), _OF_LOGIN_ELSE)


_OF_LOGIN_ELSE = "Try again in some minutes; if it stays, ask the venue with its own words above."
_OF_LOGIN: dict[type[VenueError], str] = {
    LoginRefused: "The venue wants credentials, or refuses its guest: name yours under credentials.",
    TimedOut: "The venue doesn't answer the login: it is overloaded or under maintenance. Try again in some minutes.",
    ClosedByPeer: (
        "The venue ends the connection instead of an answer. Usual reasons are too many connections of one account, an "
        "address that isn't allowed, and maintenance: its words above say which."
    ),
    BadData: "What answers isn't what feedbus knows of this venue: compare the url, and report it with this output.",
}


def of_refused(nearest: Sequence[str]) -> str:
    """The venue refused a subscription. `nearest` are names like the symbol's that the venue lists."""
    near = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
    return (
        f"{near}The venue doesn't have this symbol on this channel, or the account may not have it: its own words "
        "above say which. Compare the symbol with the venue's list."
    )


def of_silence(*, has_others: bool, is_closed: bool, nearest: Sequence[str]) -> str:
    """A subscription was accepted, and nothing came. `has_others` is whether other channels of the symbol have data;
    `nearest` are names like the symbol's, where the venue doesn't list it."""
    if nearest:
        return f"The venue doesn't list this symbol, and confirms any: did you mean {' or '.join(nearest)}?"
    if is_closed:
        return "The venue says that the instrument isn't traded now: look again while it is."
    if has_others:
        return "Other channels have data, so this one is probably quiet now. Raise --wait, or look again in busy hours."
    return (
        "The venue took the subscription and sends nothing. It is closed now, or it doesn't have this symbol (some "
        "venues confirm any name), or the account gets no data: raise --wait, look again in trading hours, and try a "
        "symbol that is certainly traded."
    )


def of_delay(*, is_guest: bool) -> str:
    """The data is late, by more than clocks are wrong."""
    if is_guest:
        return "The venue's guest gets delayed data, always: name credentials of your own for prices of now."
    return (
        "The account gets delayed data (ask the venue for real time), or the way here is congested, or the clock of "
        "this machine is ahead: the check clock says which."
    )


OF_FUTURE = (
    "Events can't come before they happen: the clock of this machine is behind the venue's. Let it follow NTP (Debian: "
    "`apt install chrony`, then `chronyc tracking`)."
)
OF_CLOCK = (
    "Let the clock follow NTP (Debian: `apt install chrony`, then `chronyc tracking`). Until then every delay that is "
    "shown is wrong by that much, and certificates may look expired."
)
