//! A fake KMS, and runs of the program whose environment knows it: in the child only, and with nobody's credentials.

use std::process::Command;

use base64ct::{Base64, Encoding as _};

use crate::sandbox::{Ran, Sandbox};
use crate::support::fake_kms::FakeKms;

/// Must never be shown.
const SECRET: &str = "secret-of-nobody";

pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) fake: FakeKms,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { sandbox: Sandbox::new(), fake: FakeKms::start() }
    }

    /// The program, in an environment in which everything about AWS is ours.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        for name in
            ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"]
        {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL_KMS", self.fake.endpoint())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.finish(&mut self.command(arguments), &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        self.finish(&mut self.command(arguments), input)
    }

    /// The sandbox's rules, and: no credentials, and nothing that the fake has unwrapped, on either output.
    pub(crate) fn finish(&self, command: &mut Command, input: &[u8]) -> Ran {
        let ran = self.sandbox.finish(command, input);
        let shown = [ran.out.as_slice(), ran.err.as_bytes()].concat();
        let holds = |bytes: &[u8]| shown.windows(bytes.len()).any(|window| window == bytes);
        assert!(!holds(SECRET.as_bytes()), "credentials are shown: {ran:?}");
        for key in self.fake.plaintexts() {
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let forms = [key.clone(), hex.into_bytes(), Base64::encode_string(&key).into_bytes()];
            assert!(!forms.iter().any(|form| holds(form)), "a data key is shown: {ran:?}");
        }
        ran
    }

    /// A key of the fake, as it is named on the command line.
    pub(crate) fn key(&self, region: &str) -> String {
        named(&self.fake.create_key(region))
    }

    /// Seals a text with these arguments into `name`.
    pub(crate) fn sealed(&self, name: &str, text: &str, arguments: &[&str]) {
        let arguments = [&["seal", "-o", name], arguments].concat();
        self.run_with(&arguments, text.as_bytes()).is_silent();
    }
}

pub(crate) fn named(arn: &str) -> String {
    format!("aws-kms:{arn}")
}

/// The ARN of a key that is named on the command line.
pub(crate) fn arn(key: &str) -> &str {
    key.strip_prefix("aws-kms:").unwrap()
}

/// The stage's own rules find what they are there for.
#[test]
fn the_rules_of_the_stage_are_kept_up() {
    let stage = Stage::new();
    let key = stage.key("eu-north-1");
    stage.sealed("file", "x", &["-k", &key]);
    let data_key = stage.fake.plaintexts().pop().unwrap();
    assert_eq!(data_key.len(), 32);
    let breaks = |script: String| {
        let ran = std::panic::AssertUnwindSafe(|| stage.finish(&mut stage.sandbox.shell(&script), &[]));
        std::panic::catch_unwind(ran).is_err()
    };
    assert!(!breaks("echo fine >&2".into()));
    assert!(breaks(format!("echo {SECRET}")));
    assert!(breaks(format!("echo {} >&2", Base64::encode_string(&data_key))));
}
