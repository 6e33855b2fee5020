//! Servers that nobody here wrote: moto and MiniStack, each asked only what it is known to do as AWS does.
//!
//! `tests/run` installs them from PyPI beside the Python reader. Each is a child of this process on a free port of
//! 127.0.0.1, and ended by it. Where one is missing the test is skipped and says so, unless `KUVERT_TEST_REQUIRE`
//! names `kms`.
//!
//! Known to be otherwise than AWS, and so not asked (moto 5.2, MiniStack 1.5): moto lets disabled keys and keys that are
//! to be deleted decrypt, and its RSA keys are no pairs; MiniStack ignores the key id of `Decrypt` and opens what was
//! tampered with, and cannot rotate. Neither knows `DryRun`.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use kuvert::ProviderErrorKind as Kind;
use kuvert::blocking::{Kuvert, block_on};
use kuvert::provider::KeyCustodian as _;
use kuvert::provider::aws_kms::{AwsKmsCustodian, AwsKmsProvider, fetch_public_key};
use kuvert::provider::conformance::{Clause, Conformance, Report};
use kuvert::{EncryptionContext, OpenError};

use crate::stage::{LONG, REGION, builder, client, context, provider};
use crate::support::python::interpreter;

/// A server that runs. Ended when dropped.
struct Server {
    child: Child,
    endpoint: String,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Server {
    fn moto(test: &str) -> Option<Self> {
        Self::start(test, "moto_server", &["-H", "127.0.0.1", "-p", "0"])
    }

    fn mini_stack(test: &str) -> Option<Self> {
        Self::start(test, "ministack", &[])
    }

    fn start(test: &str, program: &str, arguments: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let program = interpreter().with_file_name(program);
        let child = Command::new(&program)
            .args(arguments)
            .current_dir(folder.path())
            .envs([("GATEWAY_PORT", "0"), ("BIND_HOST", "127.0.0.1"), ("SERVICES", "kms")])
            .env("DOCKER_HOST", "unix:///nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            let missing = format!("{} is missing: run tests/run", program.display());
            let required = std::env::var("KUVERT_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|part| part.trim() == "kms"), "{test}: {missing}");
            println!("{test}: skipped, {missing}");
            return None;
        };
        let (found, address) = channel();
        watch(child.stdout.take().unwrap(), found.clone());
        watch(child.stderr.take().unwrap(), found);
        let Ok(endpoint) = address.recv_timeout(LONG) else {
            drop(child.kill());
            panic!("{test}: {} did not say where it listens", program.display());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(Self { child, endpoint, runtime, _folder: folder })
    }

    /// A client of its own for each runtime: its connections live in the one in which they were made.
    fn client(&self, region: &str) -> Client {
        client(&self.endpoint, region)
    }

    fn create_key(&self) -> String {
        self.create_key_in(REGION)
    }

    fn create_key_in(&self, region: &str) -> String {
        let made = self.runtime.block_on(self.client(region).create_key().send()).unwrap();
        made.key_metadata.unwrap().arn.unwrap()
    }

    fn provider(&self, arn: &str) -> AwsKmsProvider {
        provider(&self.endpoint, arn)
    }

    /// The suite, without what the server is known to do otherwise.
    fn conformance(&self) -> Report {
        let (arn, other) = (self.create_key(), self.create_key());
        let told = |arn: &str| {
            let told = builder(&self.endpoint).with_sealing_key(arn).with_kms_context(["tenant"]);
            told.build().unwrap()
        };
        let (own, stranger) = (told(&arn), told(&other));
        let suite = Conformance::new(&own)
            .with_stranger(&stranger)
            .with_secret("secret-of-nobody")
            .with_callers(50)
            .with_bit_step(53);
        block_on(suite.run()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Tells the address when it is printed, and reads on, so that the server never waits for a reader.
fn watch(output: impl Read + Send + 'static, found: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("Running on ") {
                drop(found.send(rest.split_whitespace().next().unwrap_or_default().to_owned()));
            }
        }
    });
}

fn failed(report: &Report) -> Vec<Clause> {
    report.failures().iter().map(|failure| failure.clause()).collect()
}

#[test]
fn the_contract_over_moto() {
    let Some(moto) = Server::moto("the_contract_over_moto") else { return };
    let report = moto.conformance();
    // A damaged name of the key within a wrap: moto says that access is denied, or that there is no such key.
    assert!(failed(&report).iter().all(|clause| *clause == Clause::DamagedWrap), "{report}");
    assert!(report.passed().len() >= 9, "{report}");
}

#[test]
fn the_contract_over_mini_stack() {
    let Some(server) = Server::mini_stack("the_contract_over_mini_stack") else { return };
    let report = server.conformance();
    // It opens what was tampered with.
    let excused = [Clause::DamagedWrap, Clause::UnwrapAny];
    assert!(failed(&report).iter().all(|clause| excused.contains(clause)), "{report}");
    assert!(report.passed().len() >= 9, "{report}");
}

#[test]
fn moto_seals_opens_rewraps_and_rotates() {
    let Some(moto) = Server::moto("moto_seals_opens_rewraps_and_rotates") else { return };
    let arn = moto.create_key();
    let kuvert = Kuvert::new(moto.provider(&arn));
    let old = kuvert.seal(b"old", &context()).unwrap();
    let client = moto.client(REGION);
    moto.runtime.block_on(client.rotate_key_on_demand().key_id(&arn).send()).unwrap();
    let new = kuvert.seal(b"new", &context()).unwrap();
    assert_eq!(kuvert.open(&old, &context()).unwrap().as_slice(), b"old");
    assert_eq!(kuvert.open(&new, &context()).unwrap().as_slice(), b"new");
    rewraps(&moto);
    other_contexts(&moto);
}

/// Another value, a pair too many and a missing one, where the service is told the pair.
fn other_contexts(server: &Server) {
    let told = builder(&server.endpoint).with_sealing_key(server.create_key()).with_kms_context(["tenant"]);
    let kuvert = Kuvert::new(told.build().unwrap());
    let required = |pairs: &[(&str, &str)]| {
        let start = EncryptionContext::new([("table", "users")]).unwrap();
        pairs.iter().fold(start, |context, (name, value)| context.with_required(*name, *value).unwrap())
    };
    let sealed = kuvert.seal(b"x", &required(&[("tenant", "a")])).unwrap();
    assert_eq!(kuvert.open(&sealed, &required(&[("tenant", "a")])).unwrap().as_slice(), b"x");
    for pairs in [&[("tenant", "b")][..], &[("tenant", "A")], &[], &[("tenant", "a"), ("more", "b")]] {
        let error = kuvert.open(&sealed, &required(pairs)).unwrap_err();
        assert!(matches!(error, OpenError::WrongContext(_)), "{pairs:?}: {error}");
    }
}

/// From one key to another, of another region.
fn rewraps(server: &Server) {
    let (old, new) = (server.create_key(), server.create_key_in("eu-west-1"));
    let (old, new) = (server.provider(&old), server.provider(&new));
    let sealed = Kuvert::new(old.clone()).seal(b"x", &context()).unwrap();
    let rewrap = kuvert::Kuvert::new(old.clone()).rewrap_to(new.clone());
    let (moved, _) = block_on(rewrap.message(&sealed, &context())).unwrap().unwrap();
    assert_eq!(Kuvert::new(new).open(&moved, &context()).unwrap().as_slice(), b"x");
    assert!(matches!(Kuvert::new(old).open(&moved, &context()), Err(OpenError::KeyUnavailable(_))));
}

#[test]
fn mini_stack_seals_opens_and_rewraps() {
    let Some(server) = Server::mini_stack("mini_stack_seals_opens_and_rewraps") else { return };
    rewraps(&server);
    other_contexts(&server);
}

#[test]
fn unknown_keys_and_other_regions() {
    for server in
        [Server::moto("unknown_keys_and_other_regions"), Server::mini_stack("unknown_keys_and_other_regions")]
    {
        let Some(server) = server else { continue };
        let never = format!("arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-00000000dead");
        let error = Kuvert::new(server.provider(&never)).seal(b"x", &context()).unwrap_err();
        assert!(error.to_string().contains("key not found"), "{error}");
        let elsewhere = server.create_key().replace(REGION, "eu-west-1");
        let error = Kuvert::new(server.provider(&elsewhere)).seal(b"x", &context()).unwrap_err();
        assert!(error.to_string().contains("key not found"), "{error}");
    }
}

/// The name of the key within moto's wraps is the service's own matter: what follows it is what was sealed.
#[test]
fn moto_refuses_what_was_tampered_with() {
    use kuvert::provider::KeyProvider as _;
    let Some(moto) = Server::moto("moto_refuses_what_was_tampered_with") else { return };
    let own = moto.provider(&moto.create_key());
    let key = kuvert::DataKey::copy_from(&[4; 32]);
    let made = block_on(own.wrap_data_key(&key, &crate::stage::wrap_context())).unwrap().unwrap().remove(0);
    let last = made.wrap().len() - 1;
    for at in [last, last - 20, last - 40] {
        let mut wrap = made.wrap().to_vec();
        wrap[at] ^= 1;
        let bad = kuvert::Recipient::new(made.recipient_type(), made.id(), made.params(), wrap);
        let error = block_on(own.unwrap_data_key(&bad, &crate::stage::wrap_context())).unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Rejected, "byte {at}: {error}");
    }
}

#[test]
fn mini_stack_disables_and_deletes() {
    let Some(server) = Server::mini_stack("mini_stack_disables_and_deletes") else { return };
    let arn = server.create_key();
    let kuvert = Kuvert::new(server.provider(&arn));
    let sealed = kuvert.seal(b"x", &context()).unwrap();
    let kind = || match kuvert.open(&sealed, &context()) {
        Err(OpenError::KeyUnavailable(keys)) => keys.0[0].error.as_ref().unwrap().kind(),
        other => panic!("{other:?}"),
    };
    let client = server.client(REGION);
    server.runtime.block_on(client.disable_key().key_id(&arn).send()).unwrap();
    assert_eq!(kind(), Kind::Disabled);
    server.runtime.block_on(client.enable_key().key_id(&arn).send()).unwrap();
    assert_eq!(kuvert.open(&sealed, &context()).unwrap().as_slice(), b"x");
    let custodian = AwsKmsCustodian::new(server.client(REGION)).unwrap().with_deadline(LONG);
    block_on(custodian.schedule_destruction(&arn)).unwrap().unwrap();
    assert_eq!(kind(), Kind::PendingDeletion);
}

#[test]
fn mini_stack_has_rsa_keys_and_replicas() {
    let Some(server) = Server::mini_stack("mini_stack_has_rsa_keys_and_replicas") else { return };
    let client = server.client(REGION);
    let rsa = client.create_key().key_spec(KeySpec::Rsa3072).key_usage(KeyUsageType::EncryptDecrypt).send();
    let rsa = server.runtime.block_on(rsa).unwrap().key_metadata.unwrap().arn.unwrap();
    let pinned = block_on(fetch_public_key(&server.client(REGION), &rsa)).unwrap().unwrap();
    let sealer = AwsKmsProvider::builder().with_sealing_key(&rsa).with_public_key(&rsa, &*pinned).seal_only();
    let sealed = Kuvert::new(sealer.build().unwrap()).seal(b"by the public half", &context()).unwrap();
    let opener = builder(&server.endpoint).with_opening_key(&rsa).with_public_key(&rsa, pinned).open_only();
    let opened = Kuvert::new(opener.build().unwrap()).open(&sealed, &context()).unwrap();
    assert_eq!(opened.as_slice(), b"by the public half");

    let made = server.runtime.block_on(client.create_key().multi_region(true).send()).unwrap();
    let here = made.key_metadata.unwrap().arn.unwrap();
    let replica = client.replicate_key().key_id(&here).replica_region("eu-west-1").send();
    let there = server.runtime.block_on(replica).unwrap().replica_key_metadata.unwrap().arn.unwrap();
    let sealed = Kuvert::new(server.provider(&here)).seal(b"x", &context()).unwrap();
    let opened = Kuvert::new(server.provider(&there)).open(&sealed, &context()).unwrap();
    assert_eq!(opened.as_slice(), b"x");
}
