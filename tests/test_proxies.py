"""Which proxy leads to which address, and that a proxy's login is shown nowhere."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feedbus.errors import ConfigError
from feedbus.proxies import DIRECT, Proxies, Proxy, Route, from_environment, parse

EVERY = {"HTTPS_PROXY": "http://s:1", "HTTP_PROXY": "http://h:2", "ALL_PROXY": "socks5h://a:3"}


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, "wss://venue/", "None"),
        (EVERY, "wss://venue/", "http://s:1"),
        (EVERY, "https://venue/", "http://s:1"),
        (EVERY, "ws://venue/", "http://h:2"),
        (EVERY, "http://venue/", "http://h:2"),
        ({"ALL_PROXY": "socks5://a"}, "wss://venue/", "socks5://a:1080"),
        ({"all_proxy": "proxy:3128"}, "ws://venue/", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower"}, "wss://venue/", "http://lower:80"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://a"}, "wss://venue/", "None"),
        ({"HTTP_PROXY": "http://h"}, "wss://venue/", "None"),
        (EVERY, "wss://127.0.0.1:1/", "None"),
        (EVERY, "ws://[::1]:1/", "None"),
        (EVERY, "ws://localhost/", "None"),
    ],
)
def test_the_environment_names_the_proxy(environ: dict[str, str], url: str, expected: str) -> None:
    assert str(from_environment(environ).to(url)) == expected


@pytest.mark.parametrize(
    ("no_proxy", "direct", "through"),
    [
        ("*", ["wss://venue/"], []),
        ("moex.com", ["wss://moex.com/", "wss://ISS.moex.com/"], ["wss://notmoex.com/", "wss://moex.com.evil/"]),
        (".moex.com, x", ["wss://iss.moex.com/", "wss://moex.com/", "ws://x/"], ["wss://y/"]),
        ("*.moex.com", ["wss://iss.moex.com/"], ["wss://moex.org/"]),
        ("venue:8443 , other", ["wss://venue:8443/", "wss://other/"], ["wss://venue/"]),
        ("venue:443", ["wss://venue/"], ["ws://venue/"]),
        ("10.0.0.0/8 192.0.2.1", ["ws://10.1.2.3/", "ws://192.0.2.1:5/"], ["ws://11.1.2.3/", "ws://host/"]),
        ("192.0.2.1:80", ["ws://192.0.2.1/"], ["wss://192.0.2.1/"]),
        ("2001:db8::/32", ["ws://[2001:db8::5]/"], ["ws://[2001:db9::5]/", "ws://10.0.0.1/"]),
        ("[2001:db8::1]", ["ws://[2001:db8::1]/"], ["ws://[2001:db8::2]/"]),
        (",, :80 ,.", [], ["ws://venue/"]),
    ],
)
def test_no_proxy_lists_what_is_reached_directly(no_proxy: str, direct: list[str], through: list[str]) -> None:
    proxies = from_environment(EVERY | {"NO_PROXY": no_proxy})
    assert [url for url in [*direct, *through] if proxies.to(url) is None] == direct
    assert all(proxies.route(url).why == "NO_PROXY" for url in direct)


def test_a_proxy_of_the_feed_s_own_goes_before_the_environment() -> None:
    own = Proxy("socks5h", "own", 1)
    variables = from_environment(EVERY | {"NO_PROXY": "*"}).variables
    assert Proxies(variables, Route(own, "proxy")).to("wss://venue/") == own
    assert Proxies(variables, Route(None, "proxy")).to("wss://venue/") is None
    assert Proxies(variables, Route(own, "proxy")).to("ws://127.0.0.1/") is None
    assert DIRECT.to("wss://venue/") is None


@pytest.mark.parametrize(
    "text",
    [
        "https://s3cr3t:s3cr3t@proxy",
        "socks4://s3cr3t@proxy",
        "http://",
        "",
        "http://s3cr3t:s3cr3t@proxy:0",
        "http://s3cr3t:x@proxy:port",
        "http://s3cr3t:x@proxy/path",
        "http://s3cr3t:x@proxy/?s3cr3t",
        "http://:s3cr3t@proxy",
        "http://@proxy",
        "http://s3cr3t%3Aa:x@proxy",
        "http://a:s3cr3t%0Ax@proxy",
        f"http://a:s3cr3t{'x' * 256}@proxy",
        "http://s3cr3t @proxy name",
        "socks5://[::s3cr3t]:1",
    ],
)
def test_what_is_no_proxy_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY: must be|^HTTPS_PROXY: the user") as caught:
        from_environment({"https_proxy": text or "x y"}).to("wss://venue/")
    assert "s3cr3t" not in str(caught.value)


login = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), max_size=40)


@given(user=login.filter(bool), password=login)
def test_a_login_comes_out_as_it_was_and_is_in_no_text(user: str, password: str) -> None:
    assume(":" not in user)
    text = f"http://{quote(user, safe='')}:{quote(password, safe='')}@PROXY:3128"
    proxy = parse(text)
    assert (proxy.user, proxy.password) == (user, password)
    proxies = from_environment({"HTTPS_PROXY": text})
    chosen = Proxies(proxies.variables, Route(proxy, "proxy"))
    shown = [f"{each} {each!r} {each.__rich_repr__()}" for each in (proxy, proxies, chosen)]
    assert shown[0] == "http://proxy:3128 http://proxy:3128 [('url', 'http://proxy:3128')]"
    assert shown[1] == "<https_proxy> <https_proxy> [('named', '<https_proxy>')]"
    assert shown[2] == "<http://proxy:3128> <http://proxy:3128> [('named', '<http://proxy:3128>')]"
