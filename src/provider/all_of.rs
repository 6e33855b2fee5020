//! Split custody: a data key that opens only with all of several wrapping keys.
//!
//! Each member wraps one random share; all shares together make the key that wraps the data key. It knows members by
//! what they describe, and no key service by name. Section 15 of the [format](crate::manual::format).

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{Health, KeyInfo, KeyProvider, ProviderInfo, WrapContext, describe::is_one_key, random_data_key};
use crate::{
    crypto::key_wrap,
    error::{ProviderError, ProviderErrorKind},
    format::stanza::{
        self, Recipient, RecipientType,
        all_of::{self, AllOfWrap},
    },
    join,
    limits::{MAX_ID_LEN, MAX_PARAMS_LEN, MAX_SHARES, MAX_WRAP_LEN, MIN_SHARES},
    secret::DataKey,
};

/// Seals so that every member's key is needed to open: no custodian can do it alone.
///
/// For the case that one keeper of a key, such as a cloud provider under a court order, must not be able to hand out
/// anything readable: its key and yours, neither of which opens without the other. Two to eight members, each with a
/// wrapping key of its own; several keys that open the same message, *any* one of them, are several recipients
/// instead.
///
/// A message that is sealed this way has one recipient, of type [`RecipientType::ALL_OF`], which tells the keys'
/// public names in clear. It is opened only by an `AllOf` over exactly these keys, in any order; what each member opens
/// when it is configured alone has nothing to do with it. A member may hold further keys that only open, so that one
/// custodian can rotate without the others.
///
/// # Security
///
/// The shares meet in this process's memory, and so does the data key: whoever controls the process that opens needs
/// nobody else. Losing one member's key loses the data; add a second recipient if that must not be.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{EncryptionContext, OpenError, blocking::Kuvert, provider::{AllOf, MemoryProvider}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ours = Arc::new(MemoryProvider::generate("ours")?);
/// let theirs = Arc::new(MemoryProvider::generate("theirs")?);
/// let both = Kuvert::new(AllOf::new([ours.clone() as _, theirs.clone() as _])?);
/// let context = EncryptionContext::empty();
/// let message = both.seal(b"needs two", &context)?;
/// assert_eq!(both.open(&message, &context)?.as_slice(), b"needs two");
///
/// let alone = Kuvert::from_arc(theirs).open(&message, &context).unwrap_err();
/// assert!(matches!(alone, OpenError::KeyUnavailable(_)));
/// # Ok(()) }
/// ```
pub struct AllOf {
    members: Vec<Arc<dyn KeyProvider>>,
}

impl AllOf {
    /// Splits every data key among `members`.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] for fewer than two members or more than eight, and for two that hold the
    /// same key, or two regions' copies of one multi-Region key, whose custodian would hold two shares.
    pub fn new(members: impl IntoIterator<Item = Arc<dyn KeyProvider>>) -> Result<Self, ProviderError> {
        let members: Vec<_> = members.into_iter().collect();
        if !(MIN_SHARES..=MAX_SHARES).contains(&members.len()) {
            return Err(misconfigured("an all-of has 2 to 8 members"));
        }
        let keys: Vec<_> = members.iter().map(|member| member.describe().keys).collect();
        for (i, own) in keys.iter().enumerate() {
            for key in own {
                if keys[..i].iter().flatten().any(|other| is_same_key(other, key)) {
                    return Err(misconfigured("two members of an all-of hold the same key")
                        .with_key_id(key.id.as_str()));
                }
            }
        }
        Ok(Self { members })
    }

    /// Which member holds the key of each share: `None` unless that is one share for every member.
    // fmt: A-4
    fn holders(&self, shares: &[Recipient]) -> Option<Vec<&Arc<dyn KeyProvider>>> {
        if shares.len() != self.members.len() {
            return None;
        }
        let keys: Vec<_> = self.members.iter().map(|member| member.describe().keys).collect();
        let mut holders = Vec::with_capacity(shares.len());
        for share in shares {
            // Who has the very key goes before who may have another version of one.
            let is_known = keys.iter().flatten().any(|key| key.is(share));
            let holds = |keys: &Vec<KeyInfo>| {
                keys.iter().any(|key| if is_known { key.is(share) } else { key.names(share) })
            };
            let holder = keys.iter().position(holds)?;
            // Keys may be added to a member at any time: a second holder, or one of two shares, is no match.
            if keys[holder + 1..].iter().any(holds) || holders.contains(&holder) {
                return None;
            }
            holders.push(holder);
        }
        Some(holders.into_iter().map(|holder| &self.members[holder]).collect())
    }

    /// Has each member wrap its share.
    async fn wrap_shares(
        &self,
        shares: &[DataKey],
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let calls = self.members.iter().zip(shares);
        let wraps = join::all(calls.map(|(member, share)| member.wrap_data_key(share, context))).await;
        let mut wrapped: Vec<Recipient> = Vec::with_capacity(wraps.len());
        for wrap in wraps {
            let share = the_only_one(wrap.map_err(from_member)?)?;
            let is_same = |other: &&Recipient| {
                is_one_key((other.recipient_type(), other.id()), (share.recipient_type(), share.id()))
            };
            if wrapped.iter().find(is_same).is_some() {
                return Err(misconfigured("two members of an all-of seal with the same key")
                    .with_key_id(share.id_lossy()));
            }
            wrapped.push(share);
        }
        Ok(wrapped)
    }

    /// All shares, or why not.
    // fmt: A-5
    async fn unwrap_shares(
        holders: &[&Arc<dyn KeyProvider>],
        shares: &[Recipient],
        context: &WrapContext,
    ) -> Result<Option<Vec<DataKey>>, ProviderError> {
        let calls = holders.iter().zip(shares);
        let answers = join::all(calls.map(|(member, share)| member.unwrap_data_key(share, context))).await;
        let (mut keys, mut rejected) = (Vec::with_capacity(shares.len()), None::<(bool, ProviderError)>);
        for (answer, share) in answers.into_iter().zip(shares) {
            match answer {
                Ok(Some(key)) => keys.push(key),
                // It described the key as its own a moment ago.
                Ok(None) => return Ok(None),
                Err(error) => {
                    let kind = error.kind();
                    let error = from_member(error).with_key_id(share.id_lossy());
                    // A share that cannot be had is told before one that does not fit.
                    if kind != ProviderErrorKind::Rejected {
                        return Err(error);
                    }
                    // One that may be a matter of the context before one that is not.
                    let tells = share.tells_pairs();
                    if rejected.as_ref().is_none_or(|(told, _)| tells && !told) {
                        rejected = Some((tells, error));
                    }
                }
            }
        }
        rejected.map_or(Ok(Some(keys)), |(_, error)| Err(error))
    }
}

#[async_trait]
impl KeyProvider for AllOf {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let shares = self.members.iter().map(|_| random_data_key()).collect::<Result<Vec<_>, _>>()?;
        let wrapped_shares = self.wrap_shares(&shares, context).await?;
        let wrapping_key = all_of::wrapping_key(&shares, context.core());
        let wrapped = key_wrap::wrap(wrapping_key.expose(), key.expose_bytes());
        let recipient = all_of::join(&wrapped_shares, &wrapped);
        // fmt: A-4
        if recipient.wrap().len() > MAX_WRAP_LEN {
            return Err(misconfigured("the shares of an all-of together are longer than a recipient may be"));
        }
        stanza::check(&recipient).map_err(misconfigured)?;
        Ok(vec![recipient])
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let is_named = !recipient.id().is_empty() || !recipient.params().is_empty();
        if recipient.recipient_type() != RecipientType::ALL_OF || is_named {
            return Ok(None);
        }
        let Ok(AllOfWrap { shares, wrapped }) = all_of::parse(recipient.wrap()) else { return Ok(None) };
        let Some(holders) = self.holders(&shares) else { return Ok(None) };
        let Some(keys) = Self::unwrap_shares(&holders, &shares, context).await? else { return Ok(None) };
        let wrapping_key = all_of::wrapping_key(&keys, context.core());
        // fmt: A-5
        let key = key_wrap::unwrap(wrapping_key.expose(), &wrapped)
            .map_err(|_| ProviderError::new(ProviderErrorKind::Rejected, NAME))?;
        Ok(Some(key))
    }

    /// Works only if every member works.
    async fn check(&self) -> Result<Health, ProviderError> {
        let mut health = Health::good();
        for answer in join::all(self.members.iter().map(|member| member.check())).await {
            for problem in answer?.into_problems() {
                health = health.with_problem(problem);
            }
        }
        Ok(health)
    }

    fn describe(&self) -> ProviderInfo {
        let members: Vec<_> = self.members.iter().map(|member| member.describe()).collect();
        ProviderInfo::new(NAME)
            // The members' keys are not named here: none of them opens anything by itself.
            .with_key(KeyInfo::new(RecipientType::ALL_OF, ""))
            .with_context_bound(members.iter().any(|member| member.binds_context))
            .with_unwrap(members.iter().all(|member| member.can_unwrap))
            .with_key_destruction(members.iter().any(|member| member.can_destroy_keys))
    }
}

impl fmt::Debug for AllOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AllOf").field(&self.members).finish()
    }
}

/// A member's one wrap of its share, if it can stand in an all-of.
fn the_only_one(wraps: Vec<Recipient>) -> Result<Recipient, ProviderError> {
    let [share] = <[Recipient; 1]>::try_from(wraps)
        .map_err(|_| misconfigured("a member of an all-of must wrap under exactly one key"))?;
    let lengths = [share.id(), share.params(), share.wrap()].map(<[u8]>::len);
    if lengths.iter().zip([MAX_ID_LEN, MAX_PARAMS_LEN, MAX_WRAP_LEN]).any(|(len, max)| *len > max) {
        return Err(misconfigured("a member of an all-of gave a wrap longer than a recipient may be"));
    }
    Ok(share)
}

fn is_same_key(one: &KeyInfo, other: &KeyInfo) -> bool {
    is_one_key((one.recipient_type, one.id.as_bytes()), (other.recipient_type, other.id.as_bytes()))
}

/// A member's failure, as that of the whole: of the same kind, with the member's own behind it.
fn from_member(error: ProviderError) -> ProviderError {
    let whole = ProviderError::new(error.kind(), NAME);
    match error.key_id() {
        Some(id) => whole.with_key_id(id.to_owned()).with_source(error),
        None => whole.with_source(error),
    }
}

fn misconfigured(reason: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(reason)
}

/// The provider's name in errors and descriptions.
const NAME: &str = "all-of";

#[cfg(test)]
mod tests;
