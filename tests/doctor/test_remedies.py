"""What is advised, by what was found."""

from __future__ import annotations

import pytest

from feedbus.doctor import remedies
from feedbus.doctor.certificates import Certificate, Holder
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

NOW = 1_790_000_000.0
DAY = 86400.0


def certificate(issuer: Holder = Holder("R1", "Somebody"), subject: Holder = Holder("venue", "")) -> Certificate:  # noqa: B008
    return Certificate(subject, issuer, NOW + 2 * DAY, NOW - 4 * DAY, ("venue.example",))


def of_certificate(code: int, shown: Certificate | None, *, ca_file: str = "", system_accepts: bool = False) -> str:
    return remedies.of_certificate(code, shown, "h", ca_file=ca_file, system_accepts=system_accepts, now=NOW)


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        (remedies.of_lookup("h", [remedies.NO_SUCH_NAME] * 2), "typing error"),
        (remedies.of_lookup("h", [remedies.NO_SUCH_NAME, remedies.TRY_AGAIN]), "/etc/resolv.conf"),
        (remedies.of_tcp("h port 1", ["no answer", "refused"], is_proxy=False), "what the server's owner says"),
        (remedies.of_tcp("h port 1", ["no answer"], is_proxy=False), "firewall"),
        (remedies.of_tcp("h port 1", ["no route"], is_proxy=True), "ip route"),
        (of_certificate(remedies.EXPIRED, certificate()), "It ended 4 d ago"),
        (of_certificate(remedies.EXPIRED, None), "the venue has to renew"),
        (of_certificate(remedies.NOT_YET_VALID, certificate()), "It becomes good in 2 d"),
        (of_certificate(remedies.WRONG_NAME, certificate()), "It is for venue.example."),
        (of_certificate(remedies.WRONG_NAME, None), "correct the host h"),
        (of_certificate(remedies.NO_ISSUER_HERE, certificate(), ca_file="f", system_accepts=True), "leave ca_file out"),
        (of_certificate(remedies.NO_ISSUER_HERE, certificate(), ca_file="f"), "add it to f"),
        (of_certificate(remedies.NO_ISSUER_AT_ALL, None), "apt install ca-certificates"),
        (of_certificate(remedies.SELF_SIGNED, certificate()), "signed by itself"),
        (of_certificate(remedies.SELF_SIGNED_IN_CHAIN, certificate()), "The authority (R1 (Somebody))"),
        (of_certificate(remedies.SELF_SIGNED_IN_CHAIN, certificate(Holder("venue", ""))), "signed by itself"),
        (of_certificate(remedies.SELF_SIGNED_IN_CHAIN, certificate(Holder("Russian Trusted Sub CA", ""))), "gosuslugi"),
        (remedies.of_tls("TLS: wrong version number"), "ws://"),
        (remedies.of_tls("TLS: tlsv1 alert protocol version"), "TLS 1.1"),
        (remedies.of_tls("TLS: sslv3 alert handshake failure"), "GOST"),
        (remedies.of_tls("Connection reset by peer"), "was cut"),
        (remedies.of_connection(ProxyFailed("h: HTTP 403")), "The proxy is why"),
        (remedies.of_connection(RateLimited("h: HTTP 418", 60.0, banned=True)), "banned this IP address"),
        (remedies.of_connection(RateLimited("h: HTTP 429", 60.0)), "Stop everything"),
        (remedies.of_connection(TimedOut("x")), "doesn't answer"),
        (remedies.of_connection(ConnectFailed("h: HTTP 451")), "turns us away"),
        (remedies.of_connection(ConnectFailed("h: HTTP 404")), "no WebSocket at this path"),
        (remedies.of_connection(ConnectFailed("h: HTTP 503")), "maintenance"),
        (remedies.of_connection(ConnectFailed("h: HTTP 301")), "a web server"),
        (remedies.of_connection(ConnectFailed("h: reset")), "try again in a minute"),
        (remedies.of_list(None, is_needed=True), "slow or overloaded"),
        (remedies.of_list(BadData("x", "y"), is_needed=False), "Data doesn't wait for it"),
        (remedies.of_list(ConnectFailed("h: HTTP 500"), is_needed=True), "status page"),
        (remedies.of_login(LoginRefused("x"), ["login", "passcode"]), "configured as login, passcode"),
        (remedies.of_login(LoginRefused("x"), []), "name yours under credentials"),
        (remedies.of_login(ClosedByPeer(1008, "x"), []), "too many connections"),
        (remedies.of_login(TimedOut("x"), []), "doesn't answer the login"),
        (remedies.of_login(BadData("x", "y"), []), "report it"),
        (remedies.of_login(RateLimited("x"), []), "Stop everything"),
        (remedies.of_login(VenueError("x"), []), "ask the venue"),
        (remedies.of_refused(["A", "B"]), "Did you mean A or B?"),
        (remedies.of_refused([]), "The venue doesn't have this symbol"),
        (remedies.of_silence(has_others=False, is_closed=True, nearest=[]), "isn't traded now"),
        (remedies.of_silence(has_others=True, is_closed=False, nearest=[]), "probably quiet"),
        (remedies.of_silence(has_others=False, is_closed=False, nearest=[]), "sends nothing"),
        (remedies.of_silence(has_others=False, is_closed=False, nearest=["A"]), "did you mean A?"),
        (remedies.of_delay(is_guest=True), "guest"),
        (remedies.of_delay(is_guest=False), "the check clock"),
    ],
)
def test_the_advice_fits_what_was_found(advice: str, words: str) -> None:
    assert words in advice
    assert advice[0].isupper()
    assert advice.endswith((".", "?"))
    assert advice.isprintable()
