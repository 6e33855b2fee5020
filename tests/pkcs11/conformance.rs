//! The contract of key providers, over every wrap that a token has.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::slot::Slot;

use kuvert::blocking::block_on;
use kuvert::clock::TestClock;
use kuvert::provider::conformance::{Clause, Conformance, Report};
use kuvert::provider::pkcs11::{Pkcs11Builder, Pkcs11Provider, Pkcs11Wrap};
use kuvert::{ProviderErrorKind as Kind, Recipient, RecipientType};

use crate::kryoptic;
use crate::shim::{Call, Shim};
use crate::stage::{PIN, Stage, connect, staged};

/// How a provider is set up beside token and key.
type Setup = dyn Fn(Pkcs11Builder) -> Pkcs11Builder;

/// What is to be tried with it.
struct Plan<'p> {
    setup: &'p Setup,
    /// Makes a key of this label and id in this token.
    make: &'p dyn Fn(&str, &str, &str),
    /// The call that makes a wrap, and the one that undoes it.
    calls: [Call; 2],
    bit_step: usize,
    /// Wraps, by this very key, of something that does not have 32 bytes.
    wrong: &'p dyn Fn(&Stage) -> Vec<Recipient>,
    /// Wrapped here, so that no fault of the token keeps anybody from sealing.
    is_public: bool,
}

fn run(stage: &Stage, plan: &Plan<'_>) -> Report {
    for token in ["ours", "impostor"] {
        stage.token(token);
        (plan.make)(token, "kek", "01");
    }
    (plan.make)("ours", "kek", "02");
    (plan.make)("ours", "stranger", "01");
    let over = |module: &std::path::Path, token: &str, label: &str| {
        (plan.setup)(stage.builder(module, token, label, Some("01")))
    };
    let own = connect(over(stage.module(), "ours", "kek"));
    let stranger = connect(over(stage.module(), "ours", "stranger"));
    let impostor = connect(over(stage.module(), "impostor", "kek"));

    let [wraps, unwraps] = plan.calls;
    let failing: Vec<(Shim, Pkcs11Provider, Kind)> = [
        ("denied", 0x200, Kind::AccessDenied),
        ("full", 0x31, Kind::Throttled),
        ("removed", 0x32, Kind::Unavailable),
        ("mechanism", 0x70, Kind::Misconfigured),
        ("vendor", 0x8000_4711, Kind::Other),
    ]
    .into_iter()
    .map(|(name, code, kind)| {
        let shim = Shim::new(stage, name);
        let provider = connect(over(shim.path(), "ours", "kek").with_deadline(Duration::from_secs(4)));
        shim.fail(wraps, code);
        shim.fail(unwraps, code);
        (shim, provider, kind)
    })
    .collect();

    let clock = TestClock::new();
    let shim = Shim::new(stage, "hung");
    let hung = over(shim.path(), "ours", "kek").with_clock(Arc::new(clock.clone())).with_deadline(DEADLINE);
    let hung = connect(hung);
    shim.hang(wraps);
    shim.hang(unwraps);

    let custodian = own.custodian();
    let wrong = (plan.wrong)(stage);
    let mut suite = Conformance::new(&own)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_custodian(&custodian, "made by the suite")
        .with_secret(PIN)
        .with_bit_step(plan.bit_step)
        .with_threads(4);
    for recipient in wrong {
        suite = suite.with_wrong_length(recipient);
    }
    if !plan.is_public {
        suite = suite.with_hung(&hung, clock, DEADLINE);
        for (_, provider, kind) in &failing {
            suite = suite.with_failing(provider, *kind);
        }
    }
    let report = block_on(suite.run()).unwrap();
    shim.clear();
    drop(hung);
    shim.settle();
    assert_eq!(failing.iter().map(|(shim, ..)| shim.stale()).sum::<u64>(), 0);
    report
}

/// The contract over a token that fails in no way, hence without what the shim is for.
fn on_kryoptic(stage: &Stage, wrap: Pkcs11Wrap, wrong: &dyn Fn(&Stage) -> Vec<Recipient>) {
    let Some(token) = kryoptic::token(stage) else { return };
    let is_rsa = matches!(wrap, Pkcs11Wrap::RsaOaepSha256 | Pkcs11Wrap::RsaOaepSha1);
    if is_rsa {
        token.rsa("kek", "01");
        token.rsa("stranger", "01");
    } else {
        stage.import_into(&token, "kek", "01", &KEK);
        token.aes("kek", "02");
        token.aes("stranger", "01");
    }
    let own = connect(token.builder(stage, "kek", "01").with_wrap(wrap));
    let stranger = connect(token.builder(stage, "stranger", "01").with_wrap(wrap));
    let custodian = own.custodian();
    let mut suite = Conformance::new(&own)
        .with_stranger(&stranger)
        .with_custodian(&custodian, "made by the suite")
        .with_secret(PIN)
        .with_bit_step(if is_rsa { 67 } else { 3 })
        .with_threads(4);
    for recipient in wrong(stage) {
        suite = suite.with_wrong_length(recipient);
    }
    let report = block_on(suite.run()).unwrap();
    let skipped = [
        &[Clause::WrongKey, Clause::Context][..],
        if wrap == Pkcs11Wrap::AesKwp { &[] } else { &[Clause::WrongLength] },
        &[Clause::Failing, Clause::Slow, Clause::Hung],
    ];
    assert_kept(&report, &skipped.concat());
}

/// Bytes of this length by RFC 5649, which makes 40 of them, under the key that was imported as `kek/01`. Not by the
/// token: SoftHSM makes 32 of whatever it wraps.
fn padded(len: usize) -> Recipient {
    let kek = AesKek::new(&AES_256, &KEK).unwrap();
    let mut output = [0; 64];
    let wrap = kek.wrap_with_padding(&[7; 32][..len], &mut output).unwrap().to_vec();
    assert_eq!(wrap.len(), 40);
    Recipient::new(RecipientType::AES_KWP, "kek/01", Vec::new(), wrap)
}

/// Bytes of this length by RSA-OAEP with SHA-1.
fn encrypted(stage: &Stage, len: usize) -> Recipient {
    let module = Pkcs11::new(stage.module()).unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    let is_ours = |slot: &&Slot| module.get_token_info(**slot).unwrap().label() == "ours";
    let session = module.open_ro_session(*slots.iter().find(is_ours).unwrap()).unwrap();
    let label = Attribute::Label(b"kek".to_vec());
    let wanted = [Attribute::Class(ObjectClass::PUBLIC_KEY), label, Attribute::Id(vec![1])];
    let key = session.find_objects(&wanted).unwrap()[0];
    let source = PkcsOaepSource::empty();
    let params = PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, source);
    let wrap = session.encrypt(&Mechanism::RsaPkcsOaep(params), key, &vec![7; len]).unwrap();
    Recipient::new(RecipientType::RSA_OAEP_SHA1, "kek/01", Vec::new(), wrap)
}

fn assert_kept(report: &Report, skipped: &[Clause]) {
    assert!(report.is_conformant(), "{report}");
    let found: Vec<Clause> = report.skipped().iter().map(|(clause, _)| *clause).collect();
    assert_eq!(found, skipped, "{report}");
}

staged! {
    fn aes_gcm_on_softhsm(stage: &Stage) {
        let plan = Plan {
            setup: &|builder| builder,
            make: &|token, label, id| stage.aes(token, label, id),
            calls: [Call::EncryptInit, Call::DecryptInit],
            // Of other lengths are wraps of other lengths, and those are never shown to the token.
            wrong: &|_| Vec::new(),
            bit_step: 3,
            is_public: false,
        };
        assert_kept(&run(stage, &plan), &SKIPPED_OF_GCM);
    }

    fn aes_kwp_on_softhsm(stage: &Stage) {
        let plan = Plan {
            // What the standard calls something else is RFC 5649 here: the interop tests show it.
            setup: &|builder| builder.with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a),
            make: &|token, label, id| match (token, label, id) {
                ("ours", "kek", "01") => stage.import(token, label, id, &KEK),
                _ => stage.aes(token, label, id),
            },
            calls: [Call::WrapKey, Call::UnwrapKey],
            wrong: &|_| [25, 31].map(padded).to_vec(),
            bit_step: 3,
            is_public: false,
        };
        assert_kept(&run(stage, &plan), &SKIPPED);
    }

    fn aes_gcm_on_kryoptic(stage: &Stage) {
        on_kryoptic(stage, Pkcs11Wrap::AesGcm, &|_| Vec::new());
    }

    fn aes_kwp_on_kryoptic(stage: &Stage) {
        // By the number that the standard gave it, and by encryption.
        on_kryoptic(stage, Pkcs11Wrap::AesKwp, &|_| [25, 31].map(padded).to_vec());
    }

    fn rsa_oaep_sha256_on_kryoptic(stage: &Stage) {
        on_kryoptic(stage, Pkcs11Wrap::RsaOaepSha256, &|_| Vec::new());
    }

    fn rsa_oaep_sha1_on_kryoptic(stage: &Stage) {
        on_kryoptic(stage, Pkcs11Wrap::RsaOaepSha1, &|_| Vec::new());
    }

    fn rsa_oaep_sha1_on_softhsm(stage: &Stage) {
        let plan = Plan {
            setup: &|builder| builder.with_wrap(Pkcs11Wrap::RsaOaepSha1),
            make: &|token, label, id| stage.rsa(token, label, id),
            calls: [Call::EncryptInit, Call::DecryptInit],
            wrong: &|stage| [0, 31, 33, 64].map(|len| encrypted(stage, len)).to_vec(),
            bit_step: 67,
            is_public: true,
        };
        assert_kept(&run(stage, &plan), &SKIPPED_IF_PUBLIC);
    }
}

/// A key that stands in a token and is known outside.
const KEK: [u8; 32] = [0x4b; 32];
const DEADLINE: Duration = Duration::from_secs(3);
/// No context is bound; slow calls are a test of their own, since a token keeps real time and not the suite's.
const SKIPPED: [Clause; 2] = [Clause::Context, Clause::Slow];
/// Beside those, what AES-GCM cannot have.
const SKIPPED_OF_GCM: [Clause; 3] = [Clause::Context, Clause::WrongLength, Clause::Slow];
/// Sealing to a public key makes no call that could fail or hang: `faults` has what opening does.
const SKIPPED_IF_PUBLIC: [Clause; 4] = [Clause::Context, Clause::Failing, Clause::Slow, Clause::Hung];
