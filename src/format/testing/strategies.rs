//! Random well-formed recipients, slots and headers, for properties.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{all_of, header_of, pending, slot_len_for, slot_of};
use crate::format::{
    Kind,
    context::{BoundContext, EncryptionContext, Role},
    stanza::{Recipient, RecipientType, refused_in_envelope},
};

fn id() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..24)
}

fn of_length(lengths: Vec<usize>) -> impl Strategy<Value = Vec<u8>> {
    select(lengths).prop_flat_map(|len| vec(any::<u8>(), len))
}

/// The parameters of a KMS recipient.
fn context_names() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::btree_set("[a-zé:]{1,40}", 0..5).prop_map(|names: BTreeSet<String>| {
        let mut params = vec![u8::try_from(names.len()).expect("at most four")];
        for name in names {
            params.push(u8::try_from(name.len()).expect("at most 80 bytes"));
            params.extend_from_slice(name.as_bytes());
        }
        params
    })
}

/// A recipient of a type that can be a share of an all-of: known and simple, or unknown.
fn simple() -> impl Strategy<Value = Recipient> {
    let fixed = |types: Vec<RecipientType>, lengths: Vec<usize>| {
        (select(types), id(), of_length(lengths)).prop_map(|(of, id, wrap)| Recipient::new(of, id, [], wrap))
    };
    let rsa = vec![RecipientType::RSA_OAEP_SHA256, RecipientType::RSA_OAEP_SHA1, RecipientType::AWS_KMS_RSA];
    let unknown = prop_oneof![Just(0_u16), 5..=15_u16, 0x12..=0x1f_u16, 0x21..=0x3f_u16, 0x42..=u16::MAX];
    prop_oneof![
        fixed(vec![RecipientType::AES_KWP], vec![40]),
        fixed(vec![RecipientType::HSM_AES_GCM], vec![60, 64]),
        fixed(rsa, vec![256, 264, 384, 512, 1024]),
        (id(), context_names(), vec(any::<u8>(), 1..200)).prop_map(|(id, params, wrap)| Recipient::new(
            RecipientType::AWS_KMS,
            id,
            params,
            wrap
        )),
        (unknown, id(), vec(any::<u8>(), 0..20), vec(any::<u8>(), 1..80))
            .prop_map(|(of, id, params, wrap)| Recipient::new(RecipientType(of), id, params, wrap)),
    ]
}

/// A well-formed recipient of any type.
pub(crate) fn recipient() -> impl Strategy<Value = Recipient> {
    let distinct = |shares: &Vec<Recipient>| {
        let keys: BTreeSet<_> = shares.iter().map(|share| (share.recipient_type(), share.id())).collect();
        keys.len() == shares.len()
    };
    let shares = vec(simple(), 2..=4).prop_filter("distinct shares", distinct);
    prop_oneof![
        6 => simple(),
        1 => (1..=u64::MAX, of_length(vec![40])).prop_map(|(reference, wrap)| {
            Recipient::new(RecipientType::PARENT_KEY, [], reference.to_be_bytes(), wrap)
        }),
        1 => shares.prop_map(|shares| all_of(u8::try_from(shares.len()).expect("at most four"), &shares)),
        1 => simple().prop_map(|wanted| pending(wanted.recipient_type().0, wanted.id(), wanted.params())),
    ]
}

/// Recipients that a slot of this kind may have.
fn recipients(kind: Kind) -> impl Strategy<Value = Vec<Recipient>> {
    vec(recipient(), 1..6)
        .prop_map(move |mut recipients| {
            recipients.retain(|recipient| kind == Kind::Message || !refused_in_envelope(recipient));
            recipients
        })
        .prop_filter("somebody can open it", |recipients| {
            recipients.iter().any(|recipient| recipient.recipient_type() != RecipientType::PENDING)
        })
}

/// A caller's context: up to six pairs, stored and required.
pub(crate) fn context() -> impl Strategy<Value = EncryptionContext> {
    vec(("[a-zA-Zäß:/-]{1,30}", "\\PC{0,40}", any::<bool>()), 0..6).prop_map(|pairs| {
        pairs.into_iter().fold(EncryptionContext::empty(), |context, (name, value, stored)| {
            let add = if stored { EncryptionContext::with_stored } else { EncryptionContext::with_required };
            add(context.clone(), name, value).unwrap_or(context)
        })
    })
}

/// The bytes of a well-formed header and the context it was made for: any kind, any geometry, one slot or two, an
/// empty one among them.
pub(crate) fn header() -> impl Strategy<Value = (Vec<u8>, EncryptionContext)> {
    let kinds = prop_oneof![2 => Just(Kind::Message), 1 => Just(Kind::KeyEnvelope)];
    let geometry = (0..=31_u8, 0..20_usize, any::<bool>());
    (kinds, context(), geometry, 1..=u64::MAX)
        .prop_flat_map(|(kind, context, geometry, reference)| {
            let slot = || (1..=u32::MAX, recipients(kind));
            (Just((kind, context, geometry, reference)), slot(), proptest::option::of(slot()))
        })
        .prop_map(|((kind, context, (pad_len, spare, two), reference), first, second)| {
            let bound = match kind {
                Kind::Message => BoundContext::for_sealing(&context),
                Kind::KeyEnvelope => BoundContext::for_envelope(&context, Role::Record, reference),
            };
            let second = second.filter(|_| two);
            let longest = second.iter().map(|(_, recipients)| slot_len_for(recipients)).max().unwrap_or(0);
            let slot_len = slot_len_for(&first.1).max(longest) + 16 * spare;
            let mut slots = vec![slot_of(first.0, &first.1, slot_len)];
            if two {
                slots.push(second.map_or(vec![0; slot_len], |(at, to)| slot_of(at, &to, slot_len)));
            }
            let bound = bound.expect("few short pairs");
            (header_of(kind, bound.stored_bytes(), &slots, pad_len), context)
        })
}
