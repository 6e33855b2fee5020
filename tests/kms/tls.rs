//! `client_for` over TLS: a whole call to a server whose authority is trusted, none to another, and what it offers.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::example::run_example;
use crate::support::fake_kms::FakeKms;
use crate::support::python;

/// A TLS server before the fake. Ended when dropped.
struct Front {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    endpoint: String,
}

impl Front {
    fn start(python: &Path, fake: &FakeKms, folder: &Path) -> Self {
        let port = fake.endpoint().rsplit(':').next().unwrap().to_owned();
        let mut child = Command::new(python)
            .arg("-B")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/tls_front.py"))
            .arg(port)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut own = String::new();
        lines.read_line(&mut own).unwrap();
        Self { child, lines, endpoint: format!("https://127.0.0.1:{}", own.trim()) }
    }

    /// What it says about the next connection.
    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

#[test]
fn a_server_of_a_trusted_authority_is_called_and_another_is_not() {
    let Some(python) = python::required("a_server_of_a_trusted_authority_is_called_and_another_is_not")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeKms::start();
    let arn = fake.create_key("eu-north-1");
    let mut front = Front::start(&python, &fake, folder.path());
    let endpoint = ("AWS_ENDPOINT_URL_KMS", front.endpoint.clone());
    let authority = ("SSL_CERT_FILE", folder.path().join("ca.pem").to_str().unwrap().to_owned());

    let (succeeded, text) = run_example(&arn, true, std::slice::from_ref(&endpoint));
    assert!(!succeeded && text.contains("key service unavailable"), "{text}");
    assert!(front.next().starts_with("failed:"), "the client hangs up in the handshake");
    assert_eq!(fake.take_actions(), [""; 0]);

    // Its time limits are for servers that are not busy with other tests.
    let said: Vec<_> = (0..5)
        .map(|_| run_example(&arn, true, &[endpoint.clone(), authority.clone()]))
        .take_while(|said| !said.0)
        .collect();
    assert!(said.len() < 5, "{said:?}");
    assert!(fake.take_actions().contains(&"Decrypt".to_owned()));
    let protocol = (0..20).map(|_| front.next()).find(|line| !line.starts_with("failed:"));
    assert_eq!(protocol.as_deref(), Some("TLSv1.3"));
}

/// What stands in a ClientHello under an extension of this number.
fn extension(hello: &[u8], number: u16) -> Option<Vec<u8>> {
    let mut rest = hello.get(38..)?;
    let mut skip = |width: usize| {
        let (len, after) = rest.split_at_checked(width)?;
        let len = len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        let (content, after) = after.split_at_checked(len)?;
        rest = after;
        Some(content)
    };
    // Session, ciphers, compressions.
    for width in [1, 2, 1] {
        skip(width)?;
    }
    let mut all = skip(2)?;
    while let Some((start, after)) = all.split_at_checked(4) {
        let len = usize::from(u16::from_be_bytes([start[2], start[3]]));
        let (content, after) = after.split_at_checked(len)?;
        if start[..2] == number.to_be_bytes() {
            return Some(content.to_vec());
        }
        all = after;
    }
    None
}

#[test]
fn a_post_quantum_key_exchange_is_what_is_offered_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let hello = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut start = [0; 5];
        stream.read_exact(&mut start).unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([start[3], start[4]]))];
        stream.read_exact(&mut hello).unwrap();
        (start[0], hello)
    });
    let arn = "arn:aws:kms:eu-north-1:111122223333:key/1234";
    let (succeeded, text) = run_example(arn, true, &[("AWS_ENDPOINT_URL_KMS", endpoint)]);
    assert!(!succeeded && text.contains("key service unavailable"), "{text}");
    let (record, hello) = hello.join().unwrap();
    assert_eq!((record, hello[0]), (22, 1), "a handshake, and its first message");
    let versions = extension(&hello, 43).unwrap();
    assert!(versions[1..].chunks(2).any(|version| version == [3, 4]), "TLS 1.3: {versions:?}");
    let groups = extension(&hello, 10).unwrap();
    // X25519MLKEM768.
    assert_eq!(groups[2..4], [0x11, 0xec], "{groups:?}");
}
