"""A TLS server in front of another server, with a certificate that was made for it.

    tls_front.py PORT FOLDER

Listens on a free port of 127.0.0.1, passes what it decrypts on to PORT there, and leaves the certificate of the authority that
it made in FOLDER/ca.pem. Prints its own port, then a line for each connection: the protocol, or what went wrong.
Ends when its input ends.
"""

import datetime
import ipaddress
import os
import socket
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(name, issuer, key, signer, extensions):
    """A certificate that is valid for an hour."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_certificates(folder):
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = "an authority of this test"
    ca = [(x509.BasicConstraints(ca=True, path_length=0), True)]
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    pem = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for file, content in (
        ("ca.pem", certificate(name, name, authority, authority, ca)),
        ("server.pem", pem + certificate("a server", name, server, authority, [(here, False)])),
    ):
        with open(os.path.join(folder, file), "wb") as out:
            out.write(content)


def relay(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(plain, context, port):
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError as error:
        print("failed:", error, flush=True)
        return
    print(client.version(), flush=True)
    upstream = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=relay, args=(upstream, client), daemon=True).start()
    relay(client, upstream)


def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "server.pem"))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def accept():
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=serve, args=(plain, context, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


main()
