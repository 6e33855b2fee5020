//! What each recipient type requires of its id, parameters and wrap, for reader and writer alike.

use super::{KWP_LEN, Recipient, RecipientType, all_of};

/// Says what makes this recipient impossible for its type, if anything does. Unknown types are somebody else's.
pub(crate) fn check(recipient: &Recipient) -> Result<(), &'static str> {
    let Recipient { recipient_type, id, params, wrap } = recipient;
    check_name(*recipient_type, id, params)?;
    // fmt: Z-4, Z-5
    let possible = match *recipient_type {
        RecipientType::AES_KWP | RecipientType::PARENT_KEY => wrap.len() == KWP_LEN,
        RecipientType::HSM_AES_GCM => wrap.len() == 60 || wrap.len() == 64,
        RecipientType::RSA_OAEP_SHA256 | RecipientType::RSA_OAEP_SHA1 | RecipientType::AWS_KMS_RSA => {
            (256..=1024).contains(&wrap.len()) && wrap.len() % 8 == 0
        }
        RecipientType::ALL_OF => return all_of::parse(wrap).map(drop),
        RecipientType::PENDING => wrap[..] == [0],
        // fmt: Z-2
        _ => true,
    };
    if possible {
        Ok(())
    } else {
        Err("a recipient's wrapped key has a length that is impossible for its type")
    }
}

/// Whether a key envelope must not have this recipient: anybody could have planted it with a public key, or it
/// would hang one envelope on another. A pending recipient counts as the one it stands for.
// fmt: E-6
pub(crate) fn refused_in_envelope(recipient: &Recipient) -> bool {
    match recipient.recipient_type {
        RecipientType::PARENT_KEY => true,
        RecipientType::ALL_OF => all_of::split(&recipient.wrap)
            .is_ok_and(|wrap| wrap.shares.iter().all(|share| is_public(share.recipient_type))),
        RecipientType::PENDING => recipient
            .pending_for()
            .is_some_and(|wanted| is_public(wanted) || wanted == RecipientType::PARENT_KEY),
        other => is_public(other),
    }
}

/// Whether whoever knows a public key can wrap for this type.
fn is_public(recipient_type: RecipientType) -> bool {
    matches!(
        recipient_type,
        RecipientType::RSA_OAEP_SHA256 | RecipientType::RSA_OAEP_SHA1 | RecipientType::AWS_KMS_RSA
    )
}

/// The rules of id and parameters, which a pending recipient shares with the one it stands for.
fn check_name(recipient_type: RecipientType, id: &[u8], params: &[u8]) -> Result<(), &'static str> {
    match recipient_type {
        RecipientType::AES_KWP
        | RecipientType::HSM_AES_GCM
        | RecipientType::RSA_OAEP_SHA256
        | RecipientType::RSA_OAEP_SHA1
        | RecipientType::AWS_KMS_RSA => {
            if params.is_empty() {
                Ok(())
            } else {
                Err("a recipient has parameters where its type has none")
            }
        }
        RecipientType::AWS_KMS => check_context_names(params),
        // fmt: Z-8
        RecipientType::PARENT_KEY => match <[u8; 8]>::try_from(params) {
            Ok(reference) if reference != [0; 8] && id.is_empty() => Ok(()),
            _ => Err("a parent key is named by a non-zero key reference and no id"),
        },
        RecipientType::ALL_OF => {
            if id.is_empty() && params.is_empty() {
                Ok(())
            } else {
                Err("an all-of has neither id nor parameters")
            }
        }
        RecipientType::PENDING => check_pending(id, params),
        _ => Ok(()),
    }
}

/// The names of the context pairs that are passed to KMS: counted, ascending, distinct.
// fmt: Z-6
fn check_context_names(params: &[u8]) -> Result<(), &'static str> {
    const FAULT: &str = "a KMS recipient's list of context names is not well formed";
    let (&count, mut rest) = params.split_first().ok_or(FAULT)?;
    let mut last: &[u8] = &[];
    for _ in 0..count {
        let (&len, after_len) = rest.split_first().ok_or(FAULT)?;
        let (name, after) = after_len.split_at_checked(usize::from(len)).ok_or(FAULT)?;
        // The empty name is not above the empty `last`, so that one comparison refuses it too.
        if name <= last || std::str::from_utf8(name).is_err() {
            return Err(FAULT);
        }
        (last, rest) = (name, after);
    }
    if rest.is_empty() { Ok(()) } else { Err(FAULT) }
}

// fmt: Z-9
fn check_pending(id: &[u8], params: &[u8]) -> Result<(), &'static str> {
    let (wanted, params) =
        params.split_first_chunk().ok_or("a pending recipient does not name the wanted type")?;
    match RecipientType(u16::from_be_bytes(*wanted)) {
        RecipientType::ALL_OF | RecipientType::PENDING => {
            Err("a pending recipient stands for an all-of or a pending one")
        }
        wanted => check_name(wanted, id, params),
    }
}
