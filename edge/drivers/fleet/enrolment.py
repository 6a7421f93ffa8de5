"""Enrolling: from a one-time token to an identity of the edge's own.

    the token names the origins and the fingerprint of the fleet's authority
    GET  /v1/fleet/authority   unverified; what it answers must have that fingerprint
    POST /v1/fleet/enrol       verified by it from here on: the token leaves the edge only now

The private key is made here and never leaves the edge.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.drivers.fleet.client import FleetClient
from edge.fleet.identity import Identity
from nearcast.enrol_token import EnrolTokenText
from nearcast.errors import ConfigError, InputError, RemoteProtocolError
from nearcast.fleet import (
    AUTHORITY_PATH,
    ENROL_PATH,
    RENEW_SHARE,
    EdgeProfile,
    EnrolAnswer,
    EnrolRequest,
)

AUTHORITY_BYTES_MAX: Final = 64_000


def new_key() -> str:
    """A P-256 key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def signing_request(edge: str, key_pem: str) -> str:
    """A request for a certificate, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, edge)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    return (
        request.sign(_key(key_pem), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def check_certificate(edge: str, key_pem: str, answer: EnrolAnswer) -> None:
    """Raises RemoteProtocolError when the answer is not for this edge and key."""
    try:
        certificate = x509.load_pem_x509_certificate(answer.certificate_pem.encode())
        authority = x509.load_pem_x509_certificate(answer.authority_pem.encode())
        certificate.verify_directly_issued_by(authority)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise RemoteProtocolError(f"the origin's certificate cannot be used: {error}") from error
    if answer.edge != edge or [str(name.value) for name in names] != [edge]:
        raise RemoteProtocolError("the origin's certificate is for another edge")
    if certificate.public_key() != _key(key_pem).public_key():
        raise RemoteProtocolError("the origin's certificate is for another key")
    if not answer.origins or not answer.plan_keys:
        raise RemoteProtocolError("the origin names no origins, or no keys for plans")


def renew_wall_s(certificate_pem: str) -> float:
    """When a certificate should be renewed."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    from_s = certificate.not_valid_before_utc.timestamp()
    until_s = certificate.not_valid_after_utc.timestamp()
    return from_s + RENEW_SHARE * (until_s - from_s)


async def enrol(token: EnrolTokenText, profile: EdgeProfile) -> Identity:
    """Raises ConfigError when no origin can be reached, InputError when one refuses."""
    key_pem = new_key()
    request = EnrolRequest(
        token=token.secret,
        edge=token.edge,
        csr_pem=signing_request(token.edge, key_pem),
        profile=profile,
    )
    failures = []
    for origin in token.origins:
        try:
            authority_pem = await _authority(origin, token.fingerprint)
            answer = await _enrolled(origin, authority_pem, request)
            check_certificate(token.edge, key_pem, answer)
        except RemoteProtocolError as error:
            failures.append(str(error))
            continue
        return Identity(
            edge=token.edge,
            key_pem=key_pem,
            certificate_pem=answer.certificate_pem,
            authority_pem=authority_pem,
            plan_keys=answer.plan_keys,
            origins=answer.origins,
            profile=profile,
        )
    raise ConfigError(
        f"no origin could be enrolled with: {'; '.join(failures)}; does it run, and may this "
        "machine reach its fleet port?"
    )


async def _authority(origin: str, fingerprint: str) -> str:
    """The authority's certificate, if it is the one that the token means."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # nothing is believed but what has the fingerprint
    client = _client(unverified, origin)
    try:
        reply = await client.ask(origin, "GET", AUTHORITY_PATH, bytes_max=AUTHORITY_BYTES_MAX)
    finally:
        await client.close()
    if reply.status != 200:
        raise RemoteProtocolError(f"{origin} shows no authority: it answered {reply.status}")
    try:
        certificate = x509.load_pem_x509_certificate(reply.body)
    except ValueError as error:
        raise RemoteProtocolError(f"{origin} shows no authority: {error}") from error
    if certificate.fingerprint(hashes.SHA256()).hex() != fingerprint:
        raise RemoteProtocolError(
            f"{origin} is not the origin that made the token: its authority has another fingerprint"
        )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


async def _enrolled(origin: str, authority_pem: str, request: EnrolRequest) -> EnrolAnswer:
    verified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verified.minimum_version = ssl.TLSVersion.TLSv1_2
    verified.load_verify_locations(cadata=authority_pem)
    client = _client(verified, origin)
    try:
        reply = await client.ask(origin, "POST", ENROL_PATH, msgspec.json.encode(request))
    finally:
        await client.close()
    if reply.status != 200:
        refused = reply.refused()
        raise InputError(f"the origin refuses ({refused.error}): {refused.detail}")
    return reply.message(EnrolAnswer)


def _client(tls: ssl.SSLContext, origin: str) -> FleetClient:
    return FleetClient(
        tls, origins=lambda: (origin,), current=lambda: origin, failed=lambda _: None
    )


def _key(key_pem: str) -> ec.EllipticCurvePrivateKey:
    key: Any = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "we make no other"
    return key
