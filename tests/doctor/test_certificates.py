"""What is read of a certificate, beside what another library reads, and that nothing else is taken for one."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from feedbus.doctor import certificates
from feedbus.doctor.certificates import MAX_NAMES, Certificate, Holder

CA = trustme.CA(organization_name="Минцифры", organization_unit_name="Роот")


def der(
    *names: str,
    common_name: str | None = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> bytes:
    made = CA.issue_cert(*names, common_name=common_name, not_before=not_before, not_after=not_after)
    return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())


def by_the_other_library(data: bytes) -> Certificate:
    read = x509.load_der_x509_certificate(data)

    def holder(name: x509.Name) -> Holder:
        found = [name.get_attributes_for_oid(oid) for oid in (x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME)]
        return Holder(*(str(each[0].value) if each else "" for each in found))

    alternatives = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Certificate(
        holder(read.subject),
        holder(read.issuer),
        read.not_valid_before_utc.timestamp(),
        read.not_valid_after_utc.timestamp(),
        tuple(str(name.value) for name in alternatives),
    )


@pytest.mark.parametrize(
    "data",
    [
        der("venue.example"),
        der("venue.example", "*.venue.example", "10.0.0.1", "2001:db8::1", common_name="Venue"),
        der("a.example", not_before=datetime(1950, 1, 1, tzinfo=UTC), not_after=datetime(2049, 12, 31, tzinfo=UTC)),
        der(
            "a.example",
            not_before=datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
            not_after=datetime(2050, 1, 1, tzinfo=UTC),
        ),
        der(*(f"n{number}.example" for number in range(40))),
    ],
)
def test_it_reads_what_another_library_reads(data: bytes) -> None:
    assert certificates.read(data) == by_the_other_library(data)


def test_names_are_bounded_and_an_authority_signs_itself() -> None:
    assert len(certificates.read(der(*(f"n{number}.example" for number in range(80)))).names) == MAX_NAMES
    own = certificates.read(ssl.PEM_cert_to_DER_cert(CA.cert_pem.bytes().decode()))
    assert own.is_self_signed
    assert own.issuer.organization == "Минцифры"
    assert not certificates.read(der("venue.example")).is_self_signed


@pytest.mark.parametrize(
    ("holder", "text"),
    [
        (Holder("Sub CA", "Ministry"), "Sub CA (Ministry)"),
        (Holder("same", "same"), "same"),
        (Holder("", "Ministry"), "Ministry"),
        (Holder("", ""), "somebody without a name"),
    ],
)
def test_a_holder_in_words(holder: Holder, text: str) -> None:
    assert str(holder) == text


GOOD = der("venue.example", "10.0.0.1")


@given(st.binary(max_size=60) | st.integers(0, len(GOOD) - 1).map(lambda cut: GOOD[:cut]))
def test_anything_else_is_refused_by_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
        certificates.read(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_byte_never_leads_to_another_error(at: int, byte: int) -> None:
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        read = certificates.read(damaged)
    except ValueError:
        return
    assert all(name.isprintable() for name in (*read.names, str(read.subject), str(read.issuer)))
