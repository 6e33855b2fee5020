//! RSA wraps against an independent implementation: keys made, and wraps opened, by the Python package `cryptography`.

use std::path::Path;
use std::process::Command;

use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider as _;
use kuvert::provider::aws_kms::AwsKmsProvider;
use kuvert::{DataKey, RecipientType};

use crate::stage::{REGION, wrap_context};
use crate::support::python;

/// Writes `BITS.spki` and `BITS.pem` for each size that KMS has.
const MAKE_KEYS: &str = "
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
for bits in (2048, 3072, 4096):
    key = rsa.generate_private_key(65537, bits)
    pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    open(f'{bits}.pem', 'wb').write(pem)
    spki = key.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    open(f'{bits}.spki', 'wb').write(spki)
";

/// Prints what `BITS.wrap` holds under OAEP with SHA-256 for both hashes and no label; any other way must fail.
const OPEN_WRAPS: &str = "
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
for bits in (2048, 3072, 4096):
    key = serialization.load_pem_private_key(open(f'{bits}.pem', 'rb').read(), None)
    wrap = open(f'{bits}.wrap', 'rb').read()
    def opened(mgf, hash, label):
        return key.decrypt(wrap, padding.OAEP(padding.MGF1(mgf()), hash(), label))
    print(opened(hashes.SHA256, hashes.SHA256, None).hex())
    for other in ((hashes.SHA1, hashes.SHA256, None), (hashes.SHA256, hashes.SHA1, None), (hashes.SHA256, hashes.SHA256, b'x')):
        try:
            opened(*other)
        except ValueError:
            continue
        raise SystemExit(f'{bits} bits: opened as {other}')
";

fn run(python: &Path, script: &str, folder: &Path) -> String {
    let done = Command::new(python).args(["-B", "-c", script]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn another_implementation_opens_the_wraps_of_every_size() {
    let Some(python) = python::required("another_implementation_opens_the_wraps_of_every_size") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: String| folder.path().join(name);
    run(&python, MAKE_KEYS, folder.path());
    let arn = format!("arn:aws:kms:{REGION}:111122223333:key/1234");
    let key = |bits: usize| DataKey::copy_from(&[u8::try_from(bits / 1024).unwrap(); 32]);
    for bits in [2048, 3072, 4096] {
        let spki = std::fs::read(file(format!("{bits}.spki"))).unwrap();
        let sealer = AwsKmsProvider::builder().with_sealing_key(&arn).with_public_key(&arn, spki).seal_only();
        let made =
            block_on(sealer.build().unwrap().wrap_data_key(&key(bits), &wrap_context())).unwrap().unwrap();
        assert_eq!((made[0].recipient_type(), made[0].params()), (RecipientType::AWS_KMS_RSA, &[][..]));
        assert_eq!(made[0].wrap().len(), bits / 8);
        std::fs::write(file(format!("{bits}.wrap")), made[0].wrap()).unwrap();
    }
    let opened = run(&python, OPEN_WRAPS, folder.path());
    let expected: String = [2, 3, 4].map(|byte| format!("0{byte}").repeat(32) + "\n").concat();
    assert_eq!(opened, expected);
}
