"""The certificates of a fleet: one authority signs the edges' and the fleet port's own.

All keys are EC P-256. An edge makes its key and never shows it; what it sends is a request (CSR)
of which nothing is believed but the public key: the name in the certificate is the one the
operator's token was made for. An edge's certificate is for clients only and lives a month, so that
one whose edge was taken away ends by itself; it is renewed after two thirds of its life. Which
certificate counts at the moment is said by its serial in the edge's record: that is how one is
revoked at once.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nearcast.errors import NearcastError, RemoteProtocolError
from nearcast.units import DAY_S

AUTHORITY_S: Final = 3_650 * DAY_S
SERVER_S: Final = 90 * DAY_S
EDGE_S: Final = 30 * DAY_S
# Certificates begin a day ago, so that an edge whose clock is behind can hear what time it is.
EARLIER_S: Final = DAY_S


class EdgeCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge got, and what the origin keeps of it."""

    certificate_pem: str
    serial: str
    """In hex."""
    until_wall_s: float


class Authority:
    """Signs; whoever has it can make edges. Equal bytes of `secret` make equal authorities."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self.certificate_pem: Final = _pem(certificate)
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint: Final = hashlib.sha256(der).hexdigest()

    @classmethod
    def make(cls, wall_s: float) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nearcast fleet")])
        certificate = (
            _builder(name, key.public_key(), name, wall_s - EARLIER_S, wall_s + AUTHORITY_S)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(_key_id(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def read(cls, secret: bytes) -> Authority:
        """From what `secret` gave. Raises NearcastError."""
        try:
            key = serialization.load_pem_private_key(secret, password=None)
            certificate = x509.load_pem_x509_certificate(secret)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise NearcastError(
                f"the authority's key in the database is damaged: {error}"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise NearcastError("the authority's key in the database is of another kind than EC")
        return cls(key, certificate)

    @property
    def secret(self) -> bytes:
        """Key and certificate as PEM, for the database alone."""
        return _key_pem(self._key) + self.certificate_pem.encode()

    def server_certificate(self, names: Sequence[str], wall_s: float) -> tuple[str, bytes]:
        """For the fleet port: certificate and authority's certificate, and the key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        until_wall_s = min(wall_s + SERVER_S, self._until_wall_s)
        certificate = (
            _builder(
                subject,
                key.public_key(),
                self._certificate.subject,
                wall_s - EARLIER_S,
                until_wall_s,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_usage(), critical=True)
            .add_extension(_key_id(key.public_key()), critical=False)
            .add_extension(self._issuer_id(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _pem(certificate) + self.certificate_pem, _key_pem(key)

    def edge_certificate(
        self, edge: str, csr_pem: str, wall_s: float, *, valid_s: float = EDGE_S
    ) -> EdgeCertificate:
        """For an edge's key. Raises RemoteProtocolError, which says what is wrong with the CSR."""
        key = _requested_key(csr_pem)
        until_wall_s = min(wall_s + valid_s, self._until_wall_s)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, edge)])
        certificate = (
            _builder(subject, key, self._certificate.subject, wall_s - EARLIER_S, until_wall_s)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(_usage(), critical=True)
            .add_extension(_key_id(key), critical=False)
            .add_extension(self._issuer_id(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return EdgeCertificate(
            certificate_pem=_pem(certificate),
            serial=f"{certificate.serial_number:x}",
            until_wall_s=until_wall_s,
        )

    @property
    def _until_wall_s(self) -> float:
        return self._certificate.not_valid_after_utc.timestamp()

    def _issuer_id(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def _requested_key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise RemoteProtocolError("the certificate request cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise RemoteProtocolError("the certificate request is for another key than EC P-256")
    if not is_signed:
        raise RemoteProtocolError("the certificate request is not signed by its own key")
    return key


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    from_wall_s: float,
    until_wall_s: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(from_wall_s))
        .not_valid_after(_date(until_wall_s))
    )


def _date(wall_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(wall_s), datetime.UTC)


def _usage(*, signs_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
