//! The clauses about answers: what is given for what is asked.

use super::drive::Run;
use super::{KeyProvider, WrapContext};
use crate::conformance::{Fault, Verdict, fault};
use crate::error::{ProviderError, ProviderErrorKind};
use crate::executor::block_on;
use crate::format::stanza::{self, Recipient, RecipientType};
use crate::join::all;
use crate::limits::{MAX_ID_LEN, MAX_PARAMS_LEN, MAX_WRAP_LEN};
use crate::secret::DataKey;

/// A data key that no provider has seen.
pub(super) const KEY: [u8; 32] = *b"\x5e\x0a\xc3\x19\x77\xe2\x48\x9d\x3b\xf0\x16\x84\xad\x61\xce\x2f\
                                    \x90\x05\xd7\x4c\xb8\x2a\x73\xe9\x1f\x66\x0d\xfb\x35\x82\xc4\x57";

/// Bytes of a recipient's id, parameters and wrap.
const MAX_LENGTHS: [usize; 3] = [MAX_ID_LEN, MAX_PARAMS_LEN, MAX_WRAP_LEN];

impl Run<'_> {
    pub(super) async fn describe(&mut self) -> Result<Verdict, Fault> {
        let info = self.provider.describe();
        self.show(format!("{info:?}"));
        if info.provider.is_empty() {
            return fault!("the provider's name is empty");
        }
        if !info.keys.iter().any(|key| key.seals) {
            return fault!("no key is described as sealing");
        }
        if info != self.provider.describe() {
            return fault!("two descriptions of an unchanged provider differ");
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn check(&mut self) -> Result<Verdict, Fault> {
        let health = self.must("check", self.provider.check()).await?;
        self.show(format!("{health:?}"));
        if health.is_good() {
            Ok(Verdict::Kept)
        } else {
            fault!("check lists problems of a provider that works")
        }
    }

    pub(super) async fn generate(&mut self) -> Result<Verdict, Fault> {
        let mut keys: Vec<DataKey> = Vec::new();
        for _ in 0..4 {
            let made = self.must("generate_data_key", self.provider.generate_data_key(self.context)).await?;
            self.show(format!("{made:?}"));
            self.keep_key(&made.key);
            if made.key.expose_bytes() == &[0; 32] {
                return fault!("a generated key is all zero");
            }
            if keys.iter().any(|earlier| earlier.expose_bytes() == made.key.expose_bytes()) {
                return fault!("two generated keys are the same");
            }
            self.recipients_are_sound(&made.recipients)?;
            self.all_give_back(&made.key, &made.recipients).await?;
            keys.push(made.key);
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn wrap(&mut self) -> Result<Verdict, Fault> {
        let (_, recipients) = self.wrapped().await?;
        self.recipients_are_sound(&recipients)?;
        Ok(Verdict::Kept)
    }

    pub(super) async fn gives_back(&mut self) -> Result<Verdict, Fault> {
        // Keys of every shape: a padding scheme that strips zero bytes would shorten some of them.
        for bytes in [KEY, [0; 32], [0xff; 32], [1; 32]] {
            let key = DataKey::copy_from(&bytes);
            let recipients =
                self.must("wrap_data_key", self.provider.wrap_data_key(&key, self.context)).await?;
            self.all_give_back(&key, &recipients).await?;
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn not_mine(&mut self) -> Result<Verdict, Fault> {
        let (_, recipients) = self.wrapped().await?;
        for own in recipients.iter().filter(is_real) {
            for (what, other) in others(own) {
                if self.is_described(&other) {
                    continue;
                }
                self.is_not_mine(what, &other).await?;
            }
        }
        if let Some(stranger) = self.suite.stranger {
            let made = self
                .must("the stranger's generate_data_key", stranger.generate_data_key(self.context))
                .await?;
            for recipient in &made.recipients {
                self.is_not_mine("a recipient of the stranger", recipient).await?;
            }
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn wrong_key(&mut self) -> Result<Verdict, Fault> {
        let Some(impostor) = self.suite.impostor else {
            return Ok(Verdict::Skipped("no impostor was given"));
        };
        let made =
            self.must("the impostor's generate_data_key", impostor.generate_data_key(self.context)).await?;
        self.keep_key(&made.key);
        for recipient in made.recipients.iter().filter(is_real) {
            self.is_rejected("a wrap under another key of the same id", recipient).await?;
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn damaged_wrap(&mut self) -> Result<Verdict, Fault> {
        if !self.provider.describe().can_unwrap {
            return Ok(Verdict::Skipped("the provider cannot unwrap"));
        }
        let (_, recipients) = self.wrapped().await?;
        for own in recipients.iter().filter(is_real) {
            for bit in (0..own.wrap().len() * 8).step_by(self.suite.bit_step) {
                let mut wrap = own.wrap().to_vec();
                wrap[bit / 8] ^= 1 << (bit % 8);
                let damaged = with_wrap(own, wrap);
                // The wrap of an all-of names keys: another name in there is somebody else's.
                if own.recipient_type() == RecipientType::ALL_OF
                    && matches!(self.unwrapped(&damaged).await?, Ok(None))
                {
                    continue;
                }
                self.is_rejected(&format!("a wrap with bit {bit} flipped"), &damaged).await?;
            }
            let longer = [&[0][..], &[0; 8], &[0; 16]].map(|more| [own.wrap(), more].concat());
            let shorter = (0..own.wrap().len()).map(|len| own.wrap()[..len].to_vec());
            for wrap in shorter.chain(longer) {
                let len = wrap.len();
                // A provider may tell by the length alone that a wrap cannot be of its key, and then it is not mine.
                match self.unwrapped(&with_wrap(own, wrap)).await? {
                    Ok(Some(_)) => {
                        return fault!("a wrap of {len} instead of {} bytes was unwrapped", own.wrap().len());
                    }
                    Ok(None) => {}
                    Err(error) => is_rejection(&format!("a wrap of {len} bytes"), &error)?,
                }
            }
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn other_context(&mut self) -> Result<Verdict, Fault> {
        if !self.provider.describe().binds_context {
            return Ok(Verdict::Skipped("the provider binds no context"));
        }
        let (_, recipients) = self.wrapped().await?;
        let value = |name: &str| self.context.value(name).unwrap_or_default().to_owned() + "x";
        let pairs: Vec<_> = self.context.names().map(|name| (name.to_owned(), value(name))).collect();
        let other = WrapContext::new(*self.context.core(), pairs);
        for own in recipients.iter().filter(is_real) {
            match self.call("unwrap_data_key", self.provider.unwrap_data_key(own, &other)).await? {
                Ok(Some(_)) => return fault!("a wrap was unwrapped under another context"),
                Ok(None) => {
                    return fault!("a wrap under another context is mine, and was refused as not mine");
                }
                Err(error) => is_rejection("a wrap under another context", &error)?,
            }
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn wrong_length(&mut self) -> Result<Verdict, Fault> {
        if self.suite.wrong_length.is_empty() {
            return Ok(Verdict::Skipped("no recipient of another length was given"));
        }
        for recipient in &self.suite.wrong_length {
            self.is_rejected("a wrap of something that is not 32 bytes", recipient).await?;
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn concurrent(&mut self) -> Result<Verdict, Fault> {
        let (provider, context) = (self.provider, self.context);
        let (callers, threads) = (self.suite.callers, self.suite.threads);
        let in_one_task = |callers: usize| all((0..callers).map(move |_| round(provider, context)));
        let answers = if threads == 0 {
            let Some(answers) = super::drive::within(self.suite.patience, in_one_task(callers)).await else {
                return fault!(
                    "{callers} callers at once were not all answered within {:?}",
                    self.suite.patience
                );
            };
            answers
        } else {
            let each = callers.div_ceil(threads);
            std::thread::scope(|scope| {
                let run = || block_on(in_one_task(each));
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                running.into_iter().filter_map(|thread| thread.join().ok()?.ok()).flatten().collect()
            })
        };
        let good = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            self.show_error(error);
        }
        if good < callers {
            return fault!("of {callers} callers at once, {} got no answer of their own", callers - good);
        }
        Ok(Verdict::Kept)
    }

    /// The key of the suite, wrapped.
    pub(super) async fn wrapped(&mut self) -> Result<(DataKey, Vec<Recipient>), Fault> {
        let key = DataKey::copy_from(&KEY);
        self.keep_key(&key);
        let recipients = self.must("wrap_data_key", self.provider.wrap_data_key(&key, self.context)).await?;
        Ok((key, recipients))
    }

    async fn unwrapped(
        &mut self,
        recipient: &Recipient,
    ) -> Result<Result<Option<DataKey>, ProviderError>, Fault> {
        self.call("unwrap_data_key", self.provider.unwrap_data_key(recipient, self.context)).await
    }

    fn recipients_are_sound(&self, recipients: &[Recipient]) -> Result<(), Fault> {
        if recipients.iter().filter(is_real).count() == 0 {
            return fault!("there is no recipient that could ever open");
        }
        for recipient in recipients {
            let lengths = [recipient.id(), recipient.params(), recipient.wrap()].map(<[u8]>::len);
            if recipient.wrap().is_empty() || lengths.iter().zip(MAX_LENGTHS).any(|(len, max)| *len > max) {
                return fault!("a recipient's id, parameters and wrap of {lengths:?} bytes fit no message");
            }
            if let Err(error) = stanza::check(recipient) {
                return fault!(
                    "a recipient of type {} is not well formed: {error}",
                    recipient.recipient_type()
                );
            }
            if is_real(&recipient) && !self.is_described(recipient) {
                return fault!(
                    "a recipient of type {} is not among the described keys",
                    recipient.recipient_type()
                );
            }
        }
        Ok(())
    }

    /// Every recipient gives back the key, or `Ok(None)` if the provider says that it cannot unwrap.
    pub(super) async fn all_give_back(
        &mut self,
        key: &DataKey,
        recipients: &[Recipient],
    ) -> Result<(), Fault> {
        let can_unwrap = self.provider.describe().can_unwrap;
        for recipient in recipients.iter().filter(is_real) {
            match self.must("unwrap_data_key", self.provider.unwrap_data_key(recipient, self.context)).await?
            {
                Some(_) if !can_unwrap => return fault!("it unwraps, and describes itself as unable to"),
                None if !can_unwrap => {}
                None => return fault!("the provider's own recipient was refused as not mine"),
                Some(unwrapped) if unwrapped.expose_bytes() == key.expose_bytes() => {}
                Some(_) => return fault!("another key came out than went in"),
            }
        }
        Ok(())
    }

    pub(super) fn is_described(&self, recipient: &Recipient) -> bool {
        self.provider.describe().keys.iter().any(|key| key.names(recipient))
    }

    async fn is_not_mine(&mut self, what: &str, recipient: &Recipient) -> Result<(), Fault> {
        match self.unwrapped(recipient).await? {
            Ok(None) => Ok(()),
            Ok(Some(_)) => fault!("{what} was unwrapped"),
            Err(error) => fault!("{what} is not mine, and was an error: {}", error.kind().describe()),
        }
    }

    async fn is_rejected(&mut self, what: &str, recipient: &Recipient) -> Result<(), Fault> {
        match self.unwrapped(recipient).await? {
            Ok(Some(_)) => fault!("{what} was unwrapped"),
            Ok(None) if !self.provider.describe().can_unwrap => Ok(()),
            Ok(None) => fault!("{what} is mine, and was refused as not mine"),
            Err(error) => is_rejection(what, &error),
        }
    }
}

fn is_rejection(what: &str, error: &ProviderError) -> Result<(), Fault> {
    match error.kind() {
        ProviderErrorKind::Rejected => Ok(()),
        kind => fault!("{what} gave the error \"{}\" instead of \"wrapped key rejected\"", kind.describe()),
    }
}

/// One caller: a fresh key, which has to come back.
async fn round(provider: &dyn KeyProvider, context: &WrapContext) -> Result<bool, ProviderError> {
    let made = provider.generate_data_key(context).await?;
    let can_unwrap = provider.describe().can_unwrap;
    for recipient in made.recipients.iter().filter(is_real) {
        let unwrapped = provider.unwrap_data_key(recipient, context).await?;
        if can_unwrap && unwrapped.is_none_or(|key| key.expose_bytes() != made.key.expose_bytes()) {
            return Ok(false);
        }
    }
    Ok(!made.recipients.is_empty())
}

/// Not a stanza that stands for somebody who could not be reached.
pub(super) fn is_real(recipient: &&Recipient) -> bool {
    recipient.recipient_type() != RecipientType::PENDING
}

pub(super) fn with_wrap(own: &Recipient, wrap: Vec<u8>) -> Recipient {
    Recipient::new(own.recipient_type(), own.id(), own.params(), wrap)
}

/// Recipients that differ from the provider's own in type or id only.
pub(super) fn others(own: &Recipient) -> Vec<(&'static str, Recipient)> {
    let of_type = |number| Recipient::new(RecipientType(number), own.id(), own.params(), own.wrap());
    let of_id = |id: Vec<u8>| Recipient::new(own.recipient_type(), id, own.params(), own.wrap());
    let mut changed = own.id().to_vec();
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    vec![
        ("a recipient of type 0", of_type(0)),
        ("a recipient of an unknown type", of_type(0x7fff)),
        ("a recipient of a private type", of_type(0xbfff)),
        ("a pending recipient", of_type(RecipientType::PENDING.0)),
        ("a recipient of another id", of_id(changed)),
        ("a recipient of a longer id", of_id([own.id(), b"x"].concat())),
        ("a recipient of a shorter id", of_id(own.id()[..own.id().len().saturating_sub(1)].to_vec())),
        ("a recipient of an empty id", of_id(Vec::new())),
        ("a recipient whose id is not UTF-8", of_id(vec![0xff; 8])),
    ]
}
