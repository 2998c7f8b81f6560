"""The seam between a venue and its shells: what an Account and a Session are asked, and what they answer. Pure.

An Account is what all connections of one venue account share: credentials and the token that they are exchanged for,
channels, limits, and the rules for symbols. A Session is one conversation on one connection. Neither does anything
itself: they are told what happened and when, and return Effects, which are events to publish and orders to carry out
(send this, fetch that, call me at this time). The shells around them, in feedbus/feed, own the sockets, the clock and
the log. A venue is one package in feedbus/venues/ that exports an `Account` class; what all venues have in common is in
subscriptions.py, sessions.py and fields.py beside this file.

What a venue is asked over HTTP is a Fetch. Each Fetch is answered by one call of `fetched`, with the response or with
the error that came in its place. Responses come in any order, and none comes to a Session that is over.

Times: `now` is seconds of a monotonic clock, the same one in every call; `ts_recv` is nanoseconds since the epoch,
taken when the bytes left the socket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, Protocol

import msgspec

from feedbus.errors import BadData, ConfigError, VenueError
from feedbus.schema.events import MarketData
from feedbus.trust import phases
from feedbus.trust.evidence import Evidence
from feedbus.trust.phases import Phase
from feedbus.venues import trading_days
from feedbus.venues.trading_sessions import Calendar
from feedbus.venues.turns import Turns


class Subscription(msgspec.Struct, frozen=True, order=True):
    """What can be subscribed: one channel of one symbol."""

    channel: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.channel} {self.symbol}"


class Send(msgspec.Struct, frozen=True):
    """Send one WebSocket message: bytes as a binary one, str as a text one."""

    data: bytes | str


class WakeAt(msgspec.Struct, frozen=True):
    """Call `tick` at this time (`now` seconds) or soon after. A later WakeAt replaces an earlier one."""

    when: float


class Fetch(msgspec.Struct, frozen=True):
    """Make one HTTP request to the venue.

    `path` includes the query ("/iss/…?start=0") and is appended to the address that the Account has for `service`;
    `body` is JSON. Its repr shows neither the query nor the body, which may hold a secret.

    `weight` is what it costs of the venue's budget (see RestLimit), 0 where the venue counts none. Fetches that wait
    for the budget go out by their `urgency`, 0 first, and then as the Account ranks them (`rank`); `about` is the
    symbol that one is about, "" for none.
    """

    path: str
    service: str = "rest"
    method: Literal["GET", "POST"] = "GET"
    body: bytes = b""
    weight: int = 0
    urgency: int = 0
    about: str = ""

    def __repr__(self) -> str:
        return f"Fetch({self.method} {self.service} {self.path.partition('?')[0]})"

    __str__ = __repr__


class FetchResponse(msgspec.Struct, frozen=True):
    """What came back: the HTTP status, whichever it is, the whole body, and when it had come (ns since the epoch).

    Its repr doesn't show the body, which may be a token.
    """

    status: int
    body: bytes
    ts_recv: int

    def __repr__(self) -> str:
        return f"FetchResponse(HTTP {self.status}, {len(self.body)} bytes)"

    __str__ = __repr__


class AccountDue(msgspec.Struct, frozen=True):
    """Call the Account's `tick` now: this Session has told it something that it has to act upon."""


class Ready(msgspec.Struct, frozen=True):
    """From a Session: the venue accepted our login, and the conversation is open. From an Account: connect."""


class Confirmed(msgspec.Struct, frozen=True):
    """The venue confirmed a subscription, by word or by data."""

    subscription: Subscription


class Refused(msgspec.Struct, frozen=True):
    """The venue refused or ended a subscription. The Session asks for it again by itself, after a doubling pause."""

    subscription: Subscription
    reason: str


class Resync(msgspec.Struct, frozen=True):
    """What we have of a subscription isn't right, and the Session gets it again. The venue refused nothing."""

    subscription: Subscription
    reason: str


class Righted(msgspec.Struct, frozen=True):
    """What a Resync was about is right again, after so many seconds. Said of what took long."""

    subscription: Subscription
    after_s: float


class Skipped(msgspec.Struct, frozen=True):
    """A frame, or a part of one, could not be used and was passed over. The conversation goes on.

    `subscription` is the one of which a whole message is lost by that, and which the next message makes whole again;
    None where nothing is lost, or nobody knows of which.
    """

    error: BadData
    subscription: Subscription | None = None


class Notice(msgspec.Struct, frozen=True):
    """Something that an operator should read once."""

    text: str


class Close(msgspec.Struct, frozen=True):
    """The conversation can't go on: close this connection and make a new one."""

    error: VenueError


class Fatal(msgspec.Struct, frozen=True):
    """The venue refuses our credentials, so no other connection of this account would fare better."""

    reason: str


Effect = (
    MarketData
    | Send
    | Fetch
    | WakeAt
    | AccountDue
    | Ready
    | Confirmed
    | Refused
    | Resync
    | Righted
    | Skipped
    | Notice
    | Close
    | Fatal
)
AccountEffect = Fetch | WakeAt | Ready | Notice | Fatal
"""What an Account may yield. After a Fatal it is started again, much later."""


class Session(Protocol):
    """One conversation with a venue on one connection. `generation` counts the attempts to connect, and `turns` say
    when the next request may go out; the shell sets both before anything else."""

    generation: int
    turns: Turns

    def opened(self, now: float) -> Iterable[Effect]:
        """The WebSocket is open."""

    def frame(self, data: bytes | bytearray, ts_recv: int, now: float) -> Iterable[Effect]:
        """A whole WebSocket message came. Never raises, whatever the bytes are."""

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterable[Effect]:
        """A Fetch of this Session was answered, or failed. Never raises, whatever the answer is."""

    def tick(self, now: float) -> Iterable[Effect]:
        """The time of the last WakeAt has come, or the Account has changed. A call at any other time does no harm."""

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterable[Effect]:
        """Subscribe these symbols too, on every channel."""

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterable[Effect]:
        """End the subscriptions of these symbols."""

    def resubscribe(self, subscriptions: Sequence[Subscription], reason: str, now: float) -> Iterable[Effect]:
        """End these subscriptions, which are of symbols that are wanted, and ask for them anew, without touching any
        other. Yields a Resync with the reason for each that is made anew; one that isn't asked for at present, because
        it waits for its turn or was refused, stays as it is.
        """

    def absent(self, symbols: Collection[str], now: float) -> Iterable[Effect]:
        """The venue's list doesn't have these symbols, of those that are wanted. What the venue has confirmed of them
        all the same, and has sent nothing of for some time, counts as refused: yields a Refused for each, once, and a
        Confirmed when data comes after all. One that isn't among them in a later call is listed now.
        """

    def closing(self) -> Iterable[Effect]:
        """The connection is about to be closed from our side: returns what is sent last."""

    def lateness(self) -> int | None:
        """By how many nanoseconds the data that came since the last call is late at least, by what it says itself; None
        where it says nothing. This is for venues whose times (`ts_event`) may be those at which messages are sent."""

    def counters(self) -> Mapping[str, int]:
        """Plain totals since the session began, by name."""

    def instruments(self) -> dict[str, int]:
        """How many symbols are in which state: wanted, sent, confirmed, live (data on every channel), refused."""


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in any `per_s` seconds."""

    count: int
    per_s: float


USUAL_CONNECTS = Rate(300, 60.0)
"""How often we connect to a venue that publishes no limit. It is our own choice: half of it, 150 connections, may be
made at once, and then two or three a second."""


class RestLimit(msgspec.Struct, frozen=True):
    """At most `weight` of requests over HTTP in any `per_s` seconds, by the venue's count of each request's weight.

    `used_header` is the header in which each answer says how much was used in the present period, by everybody at our
    address; "" where the venue doesn't say.
    """

    weight: int
    per_s: float
    used_header: str = ""


class Limits(msgspec.Struct, frozen=True):
    """What the venue allows, or None where it says nothing.

    `connections` is how many an account may have open at a time; `subscriptions` is how many a connection may carry,
    where each channel of each symbol counts as one. `connects` is how often one address connects, failed attempts
    included, `rest` the weight of its requests over HTTP, and `subscribes` how often it asks to subscribe or to
    unsubscribe, on all connections together. `messages` is what one connection sends, our pings and pongs included.
    The configuration may say otherwise.
    """

    connections: int | None = None
    subscriptions: int | None = None
    connects: Rate = USUAL_CONNECTS
    rest: RestLimit | None = None
    subscribes: Rate | None = None
    messages: Rate | None = None


class NoOptions(msgspec.Struct, frozen=True):
    """The options of a venue that has none."""


class Account(Protocol):
    """What the connections of one venue account share. Made from configuration, so it raises ConfigError.

    Options is the struct of what `options` may hold in the configuration, every field with a default and a type that
    bounds it. Its class may say by ABOUT_CHANNELS which channels an option is about, by the option's name, and by
    NAMES_SYMBOLS which options are lists of symbols or mappings of symbols to values: a configuration is refused in
    which such an option would do nothing. `services` are the addresses of its Fetches by name, which the configuration
    may replace by others. `units` are the words for what volumes are counted in: "trades" for the size of a trade,
    "ticker" for the volume of a day; a missing one is the venue's own affair. `public` are values of credentials that
    everybody knows, such as those of a guest; every other value is a secret and is hidden wherever the venue repeats
    it.
    One whose Sessions ask for things over HTTP may have `heaviest`, the weight of the heaviest of these requests, 0 if
    its channels need none: a configuration is refused in which they can't be asked.
    `closed_statuses` are the values of a Ticker's `status` at which the instrument isn't traded for some time, so that
    no data is no fault. `phases` says what the venue's words for the trading status mean, and `status_words` are the
    topic words of the events that bring it on the channels that are subscribed; where there are none, `calendar` is
    all that is known of when an instrument is traded. `kinds` are the topic words of what a channel's frames become, by
    channel, and `bar_periods` the seconds of a channel's bars; of a channel that isn't there nothing is known. A
    configuration is checked by them for rules that nothing can ever meet. `trading_day` numbers the trading days, at
    each of which the sums of a ticker begin anew: on which of them a time lies, in nanoseconds since the epoch.
    `time_resolution_ns` says by topic word to how many nanoseconds the venue cuts off its times (`ts_event`), where
    that isn't a millisecond. `evidence` says, by channel, by what its events show that some of them are missing or old
    (feedbus/trust/evidence.py); of a channel that isn't there nothing is checked. `continuous_statuses` are the values
    of `status`, of a Ticker or an Instrument, at which a bid at the best ask is filled at once, so that a book isn't
    crossed; none of them: it always is.

    A session that needs what the Account hasn't got yet (a token that is being renewed) waits: every session's `tick`
    is called when an answer to the Account has come.
    """

    Options: ClassVar[type[msgspec.Struct]]
    venue: str
    subprotocols: Sequence[str]
    services: Mapping[str, str]
    limits: Limits
    units: Mapping[str, str]
    closed_statuses: Collection[str]
    phases: Mapping[str, Phase]
    kinds: Mapping[str, Sequence[str]]
    bar_periods: Mapping[str, int]
    public: Collection[str]
    continuous_statuses: Collection[str]

    @property
    def evidence(self) -> Mapping[str, Evidence]:
        """By channel: what its events show of what is missing."""

    @property
    def time_resolution_ns(self) -> Mapping[str, int]:
        """To how many nanoseconds times are cut off, by topic word."""

    @staticmethod
    def trading_day(time: int) -> int:
        """Returns on which trading day a time lies. Later days have higher numbers."""

    def calendar(self, symbol: str) -> Calendar:
        """Returns what says when an instrument is traded, by the hours of its market. Few different ones are returned,
        so that each may be asked once for all instruments."""

    @property
    def status_words(self) -> Collection[str]:
        """The topic words of the events that bring the status of each instrument, as it changes."""

    @property
    def channels(self) -> Sequence[str]:
        """What is subscribed of each symbol."""

    def __init__(
        self, credentials: Mapping[str, str], channels: Sequence[str], options: msgspec.Struct | None = None
    ) -> None:
        """Without channels the venue's usual ones are meant, without options Options().

        Raises ConfigError; its text doesn't name the place in the file, which the caller adds. Making an Account is
        cheap and has no side effects, because checking a configuration makes one too.
        """

    def check_symbol(self, symbol: str) -> str | None:
        """Returns why this symbol can't be subscribed, or None when it can."""

    def check_url(self, url: str) -> str | None:
        """Returns why these channels can't be had at this URL of a WebSocket, or None when they can. The text doesn't
        hold the URL, which may have a token in it."""

    def rank(self, fetch: Fetch) -> tuple[float, ...]:
        """In which order Fetches of the same urgency go out, the smallest first. It is asked anew each time, of as many
        as wait."""

    def connect_url(self, url: str) -> str:
        """Returns the URL that a connection is made to, at the same host and port: the configured one, which has passed
        `check_url`, and what the options add to it. Only the configured one is ever shown."""

    def clean(self, text: str) -> str:
        """A text that came from outside, such as a close reason or an answer, without the secrets that only the Account
        knows, such as an access token. The feed hides the configured credentials by itself."""

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""

    def start(self, now: float) -> Iterable[AccountEffect]:
        """Get what connections need, and yield Ready once they may be made. Called again, much later, after a Fatal."""

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterable[AccountEffect]:
        """A Fetch of this Account was answered, or failed. Never raises, whatever the answer is."""

    def tick(self, now: float) -> Iterable[AccountEffect]:
        """The time of the last WakeAt has come, or a Session asked for this. A call at any other time does no harm."""


def check_credentials(given: Mapping[str, str], known: Sequence[str]) -> None:
    """Raises ConfigError for a key that the venue doesn't know, and for a value that can't be one."""
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"credentials: unknown key {name!r}; there are: {', '.join(known) or 'none'}")
        if not value or not value.isprintable():
            raise ConfigError(f"credentials: {name} is empty or holds a control character")


def chosen_channels(given: Sequence[str], known: Sequence[str], usual: Sequence[str]) -> tuple[str, ...]:
    """The channels that a configuration names, each once; the usual ones where it names none. Raises ConfigError."""
    for channel in given:
        if channel not in known:
            raise ConfigError(f"channels: unknown channel {channel!r}; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(given)) or tuple(usual)


class PlainSession:
    """The parts of a Session that never asks anything over HTTP."""

    generation = 0
    turns = Turns()

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Iterable[Effect]:  # noqa: ARG002
        """Nothing was asked, so nothing is answered."""
        return ()

    def resubscribe(self: Session, subscriptions: Sequence[Subscription], reason: str, now: float) -> Iterator[Effect]:
        """Their symbols are ended and asked for again, all of their channels."""
        for subscription in subscriptions:
            yield Resync(subscription, reason)
        symbols = list(dict.fromkeys(subscription.symbol for subscription in subscriptions))
        yield from self.unsubscribe(symbols, now)
        yield from self.subscribe(symbols, now)

    def absent(self, symbols: Collection[str], now: float) -> Iterable[Effect]:  # noqa: ARG002
        """The venue refuses by itself what it doesn't have."""
        return ()

    def closing(self) -> Iterable[Effect]:
        """The venue needs no message before a connection is closed."""
        return ()

    def lateness(self) -> int | None:
        """The data says nothing besides its times."""
        return None


class NoFetches:
    """The `fetched` of an Account that never asks anything over HTTP."""

    def fetched(self, fetch: Fetch, answer: FetchResponse | VenueError, now: float) -> Sequence[Notice]:  # noqa: ARG002
        """Nothing was asked, so nothing is answered."""
        return ()


class OpenAccount(NoFetches):
    """The part of an Account whose connections need nothing before they are made, with the usual values of the rest."""

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    subprotocols: Sequence[str] = ()
    limits = Limits()
    closed_statuses: Collection[str] = frozenset()
    phases: Mapping[str, Phase] = {}
    status_words: Collection[str] = frozenset()
    kinds: Mapping[str, Sequence[str]] = {}
    bar_periods: Mapping[str, int] = {}
    public: Collection[str] = frozenset()
    continuous_statuses: Collection[str] = frozenset()
    evidence: Mapping[str, Evidence] = {}
    time_resolution_ns: Mapping[str, int] = {}

    @staticmethod
    def trading_day(time: int) -> int:
        """The date in UTC."""
        return trading_days.utc(time)

    def calendar(self, symbol: str) -> Calendar:  # noqa: ARG002
        """It is always traded."""
        return phases.always

    def start(self, now: float) -> Iterable[AccountEffect]:  # noqa: ARG002 - the Protocol's signature
        """Connections may be made at once."""
        return (Ready(),)

    def tick(self, now: float) -> Iterable[AccountEffect]:  # noqa: ARG002
        """There is no timer, so nothing is due."""
        return ()

    def check_url(self, url: str) -> str | None:  # noqa: ARG002
        """Every URL is as good."""
        return None

    def rank(self, fetch: Fetch) -> tuple[float, ...]:  # noqa: ARG002
        """None is before another: they go out as they came."""
        return ()

    def connect_url(self, url: str) -> str:
        """The configured URL itself."""
        return url

    def clean(self, text: str) -> str:
        """There is no secret besides the credentials, so the text stays as it is."""
        return text
