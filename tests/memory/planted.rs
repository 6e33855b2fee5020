//! Leaks on purpose, one for each kind of secret and place: the search must find them, or it proves nothing.

use std::io::Write;

use kuvert::provider::{Health, KeyProvider, ProviderInfo, WrapContext};
use kuvert::{DataKey, Kuvert, ProviderError, Recipient};

use crate::child::{Stage, Wiped, Witness, context};
use crate::support::cancel::wait;

/// What the search must find: a scan after each leak.
pub(crate) fn planted(stage: &Stage) {
    let leak = |bytes: &[u8]| std::mem::forget(std::hint::black_box(bytes.to_vec().into_boxed_slice()));
    std::mem::forget(stage.kuvert());
    stage.scan("kek");

    let text = stage.read("key");
    leak(&text[text.len() - 49..text.len() - 1]);
    stage.scan("base64");

    let kuvert = Kuvert::new(Leaking(stage.provider()));
    drop(wait(kuvert.open(&stage.read("small.sealed"), &context())).unwrap());
    stage.scan("dek");

    let mut writer = stage.sealing(&stage.kuvert(), b"a byte or two");
    writer.flush().unwrap();
    stage.tell("message", writer.inner());
    std::mem::forget(writer);
    stage.scan("body");

    let (key, envelope) = wait(stage.kuvert().new_record_key(&context())).unwrap();
    stage.tell("message", &envelope);
    std::mem::forget(key);
    stage.scan("record");

    std::mem::forget(wait(stage.kuvert().open(&stage.read("large.sealed"), &context())).unwrap());
    stage.scan("text");

    // Of the wrapping key: a copy on the stack and half a copy.
    let on_stack: [u8; 32] = std::hint::black_box(wrapping_key(&text).0.as_slice().try_into().unwrap());
    stage.scan("stack");
    let half = std::hint::black_box(on_stack[16..].to_vec());
    stage.scan("half");
    drop(half);
    std::hint::black_box(on_stack);
}

/// What was freed and not wiped, with nothing else in the process that could be found in its place.
pub(crate) fn planted_freed(stage: &Stage) {
    let text = Wiped(stage.read("key"));
    let key = wrapping_key(&text.0);
    stage.scan("using kek");
    let copy = std::hint::black_box([&[0; 20_000][..], &key.0, &[0; 20_000]].concat());
    drop((key, text));
    stage.scan("using kek");
    drop(copy);
    stage.scan("freed");
}

fn wrapping_key(text: &[u8]) -> Wiped {
    use base64ct::{Base64, Encoding};
    let line = std::str::from_utf8(text).unwrap().trim_end();
    let mut decoded = Wiped(vec![0; 36]);
    Base64::decode(line.rsplit(':').next().unwrap(), &mut decoded.0).unwrap();
    decoded.0[32..].fill(0);
    decoded.0.truncate(32);
    decoded
}

/// Keeps a copy of every data key for ever.
#[derive(Debug)]
struct Leaking(Witness);

#[kuvert::async_trait]
impl KeyProvider for Leaking {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.0.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let key = self.0.unwrap_data_key(recipient, context).await?;
        key.iter().for_each(|key| std::mem::forget(std::hint::black_box(Box::new(*key.expose_bytes()))));
        Ok(key)
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.0.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}
