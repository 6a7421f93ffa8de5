"""The fleet's certificates, checked by OpenSSL through the ssl module where it can say."""

import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nearcast.errors import NearcastError, RemoteProtocolError
from origin.control.authority import EDGE_S, Authority

NOW_S = 1_800_000_000.0


def request_of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    name: str = "ams-1",
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make(NOW_S)


def test_the_name_is_the_operators_and_not_the_requests(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.edge_certificate("ams-1", request_of(key, "somebody-else"), NOW_S)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "ams-1"
    assert made.serial == f"{certificate.serial_number:x}"
    assert certificate.not_valid_after_utc.timestamp() == made.until_wall_s == NOW_S + EDGE_S
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority.certificate_pem.encode())
    )


def test_an_edge_cannot_pose_as_the_origin(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.edge_certificate("ams-1", request_of(key), NOW_S)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca


def test_the_fleet_ports_certificate_names_its_hosts(authority: Authority) -> None:
    chain, _ = authority.server_certificate(("origin.example", "192.0.2.7", "::1"), NOW_S)
    server, ca = x509.load_pem_x509_certificates(chain.encode())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["origin.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "::1"]
    server.verify_directly_issued_by(ca)


def test_an_authority_outlives_its_process(authority: Authority) -> None:
    again = Authority.read(authority.secret)
    assert again.fingerprint == authority.fingerprint
    der = ssl.PEM_cert_to_DER_cert(again.certificate_pem)
    assert len(der) > 100
    with pytest.raises(NearcastError, match="damaged"):
        Authority.read(b"nonsense")


@pytest.mark.parametrize(
    "csr",
    [
        "",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "\ud7ff",
        request_of(ed25519.Ed25519PrivateKey.generate()),
        request_of(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_a_bad_request_is_refused_with_a_reason(authority: Authority, csr: str) -> None:
    with pytest.raises(RemoteProtocolError, match="certificate request"):
        authority.edge_certificate("ams-1", csr, NOW_S)


def test_a_request_changed_on_the_way_is_refused(authority: Authority) -> None:
    pem = request_of(ec.generate_private_key(ec.SECP256R1()))
    der = bytearray(x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER))
    place = der.index(b"ams-1")
    der[place] ^= 1
    forged = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    with pytest.raises(RemoteProtocolError, match="not signed by its own key"):
        authority.edge_certificate("ams-1", forged, NOW_S)
