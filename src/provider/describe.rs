//! What a provider says about itself: its keys by public id, what it can do, and how it fares.
//!
//! Nothing here may hold a secret: it is meant for logs and status pages.

use super::arn::KeyArn;
use crate::error::ProviderError;
use crate::format::stanza::{Recipient, RecipientType};

/// What a provider is and can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// The provider's name, such as `"key-file"`; the one its errors carry.
    pub provider: &'static str,
    /// The wrapping keys it is configured with, those that seal first.
    pub keys: Vec<KeyInfo>,
    /// Whether the key service itself refuses to unwrap under another context. (The message binds it anyway.)
    pub binds_context: bool,
    /// Whether it can unwrap. A provider with a public key or without permission can only seal.
    pub can_unwrap: bool,
    /// Whether wrapping keys can be destroyed through the same backend.
    pub can_destroy_keys: bool,
}

impl ProviderInfo {
    /// A provider that can unwrap, binds no context and destroys no keys, until said otherwise.
    #[must_use]
    pub const fn new(provider: &'static str) -> Self {
        Self { provider, keys: Vec::new(), binds_context: false, can_unwrap: true, can_destroy_keys: false }
    }

    /// Adds a wrapping key.
    #[must_use]
    pub fn with_key(mut self, key: KeyInfo) -> Self {
        self.keys.push(key);
        self
    }

    /// Says whether the key service checks the context.
    #[must_use]
    pub const fn with_context_bound(mut self, binds_context: bool) -> Self {
        self.binds_context = binds_context;
        self
    }

    /// Says whether it can unwrap.
    #[must_use]
    pub const fn with_unwrap(mut self, can_unwrap: bool) -> Self {
        self.can_unwrap = can_unwrap;
        self
    }

    /// Says whether wrapping keys can be destroyed.
    #[must_use]
    pub const fn with_key_destruction(mut self, can_destroy_keys: bool) -> Self {
        self.can_destroy_keys = can_destroy_keys;
        self
    }
}

/// One wrapping key of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The type of the recipients it makes and opens.
    pub recipient_type: RecipientType,
    /// Its public id, as recipients carry it.
    pub id: String,
    /// Where it is kept, where that has a name.
    pub region: Option<String>,
    /// Whether new data keys are wrapped under it; the others only open.
    pub seals: bool,
    /// The parameters of the recipients that are sealed to it, for a pending recipient to carry. Empty for most types.
    pub params: Vec<u8>,
    /// The label of which the key is one version, where the provider has versions that it need not know yet: their ids
    /// are the label, a slash and lower-case hexadecimal digits.
    pub version_of: Option<String>,
}

impl KeyInfo {
    /// A key that seals and opens, in no named region.
    #[must_use]
    pub fn new(recipient_type: RecipientType, id: impl Into<String>) -> Self {
        Self {
            recipient_type,
            id: id.into(),
            region: None,
            seals: true,
            params: Vec::new(),
            version_of: None,
        }
    }

    /// Names the region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Says which parameters recipients of it carry.
    #[must_use]
    pub fn with_params(mut self, params: impl Into<Vec<u8>>) -> Self {
        self.params = params.into();
        self
    }

    /// Says that the provider is to be asked about other versions of the same label, too.
    #[must_use]
    pub fn with_version_of(mut self, label: impl Into<String>) -> Self {
        self.version_of = Some(label.into());
        self
    }

    /// Whether a recipient names this key, by its type and id, or another region's copy of it, or perhaps another version
    /// of it: the provider is asked.
    pub(super) fn names(&self, recipient: &Recipient) -> bool {
        let label = self.version_of.as_deref().filter(|_| self.recipient_type == recipient.recipient_type());
        self.is(recipient) || label.is_some_and(|label| is_version(label, recipient.id()))
    }

    /// Whether a recipient names this very key, or another region's copy of it.
    pub(super) fn is(&self, recipient: &Recipient) -> bool {
        is_one_key((self.recipient_type, self.id.as_bytes()), (recipient.recipient_type(), recipient.id()))
    }

    /// Says whether new data keys are wrapped under it.
    #[must_use]
    pub const fn with_sealing(mut self, seals: bool) -> Self {
        self.seals = seals;
        self
    }
}

/// Whether two names are of one key: the same, or of two copies of one multi-Region key of AWS KMS, each of which opens
/// what the other has wrapped.
pub(super) fn is_one_key(one: (RecipientType, &[u8]), other: (RecipientType, &[u8])) -> bool {
    one.0 == other.0 && (one.1 == other.1 || is_aws(one.0) && are_replicas(one.1, other.1))
}

/// Whether this is the id of some version of the label.
// fmt: Z-14
fn is_version(label: &str, id: &[u8]) -> bool {
    let digits = id.strip_prefix(label.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.is_some_and(|digits| digits.len() % 2 == 0 && digits.iter().all(is_digit))
}

pub(super) const fn is_aws(recipient_type: RecipientType) -> bool {
    matches!(recipient_type, RecipientType::AWS_KMS | RecipientType::AWS_KMS_RSA)
}

fn are_replicas(one: &[u8], other: &[u8]) -> bool {
    let parse = |id| KeyArn::parse(std::str::from_utf8(id).ok()?).ok().filter(KeyArn::is_multi_region);
    let (Some(one), Some(other)) = (parse(one), parse(other)) else { return false };
    let parts = |arn: &KeyArn| [arn.partition(), arn.account(), arn.key_id()].map(ToOwned::to_owned);
    parts(&one) == parts(&other)
}

/// The answer of a provider that works, if perhaps not with all of its keys.
#[derive(Debug, Default)]
pub struct Health {
    problems: Vec<ProviderError>,
}

impl Health {
    /// Everything works.
    #[must_use]
    pub const fn good() -> Self {
        Self { problems: Vec::new() }
    }

    /// Adds something that does not work while the rest does.
    #[must_use]
    pub fn with_problem(mut self, problem: ProviderError) -> Self {
        self.problems.push(problem);
        self
    }

    /// Whether everything works.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<ProviderError> {
        self.problems
    }

    /// What does not work.
    #[must_use]
    pub fn problems(&self) -> &[ProviderError] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_multi_region_key_are_one_key_and_nothing_else_is() {
        let arn = |region: &str, account: &str, id: &str| format!("arn:aws:kms:{region}:{account}:key/{id}");
        let mrk = "mrk-1234abcd12ab34cd56ef1234567890ab";
        let own = arn("eu-central-1", "111122223333", mrk);
        let key = KeyInfo::new(RecipientType::AWS_KMS, own.as_str());
        let names = |of, id: &str| key.names(&Recipient::new(of, id, [0], [1; 184]));
        assert!(names(RecipientType::AWS_KMS, &own));
        assert!(names(RecipientType::AWS_KMS, &arn("eu-west-1", "111122223333", mrk)));
        for other in [
            arn("eu-west-1", "999922223333", mrk),
            arn("eu-west-1", "111122223333", "mrk-5234abcd12ab34cd56ef1234567890ab"),
            arn("eu-west-1", "111122223333", mrk).replace("aws", "aws-eusc"),
            "k".to_owned(),
        ] {
            assert!(!names(RecipientType::AWS_KMS, &other), "{other}");
        }
        assert!(!names(RecipientType::AWS_KMS_RSA, &own) && !names(RecipientType::AES_KWP, &own));
        let single = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let ids = ["eu-central-1", "eu-west-1"].map(|region| arn(region, "111122223333", single));
        let [one, other] = ids.each_ref().map(|id| (RecipientType::AWS_KMS, id.as_bytes()));
        assert!(is_one_key(one, one) && !is_one_key(one, other));
    }

    #[test]
    fn a_version_names_the_others_of_its_label_and_type_and_nothing_else() {
        let key = KeyInfo::new(RecipientType::HSM_AES_GCM, "a/kek/01");
        let recipient = |of, id: &str| Recipient::new(of, id, [], [1; 60]);
        let other = recipient(RecipientType::HSM_AES_GCM, "a/kek/0aff");
        assert!(!key.names(&other));
        let key = key.with_version_of("a/kek");
        assert!(key.names(&other) && !key.is(&other));
        assert!(key.names(&recipient(RecipientType::HSM_AES_GCM, "a/kek/")));
        for id in [
            "a/kek",
            "a/kek/1",
            "a/kek/0A",
            "a/kek/01/",
            "a/kek/01/02",
            "a/kek0/01",
            "kek/01",
            "b/kek/01",
            "",
        ] {
            assert!(!key.names(&recipient(RecipientType::HSM_AES_GCM, id)), "{id}");
        }
        assert!(!key.names(&recipient(RecipientType::AES_KWP, "a/kek/02")));
    }
}
