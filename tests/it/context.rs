//! The encryption context as a caller meets it: what can be one, what it binds, and what never shows.

use kuvert::{
    Category, ContextError, EncryptionContext, Kuvert, MessageStart, OpenError, OpenOptions,
    blocking::block_on, provider::MemoryProvider,
};

fn kuvert() -> Kuvert {
    Kuvert::new(MemoryProvider::generate("k1").unwrap())
}

fn stored(pairs: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext::new(pairs.iter().copied()).unwrap()
}

fn required(pairs: &[(&str, &str)]) -> EncryptionContext {
    pairs.iter().fold(EncryptionContext::empty(), |context, (name, value)| {
        context.with_required(*name, *value).unwrap()
    })
}

fn seal(kuvert: &Kuvert, context: &EncryptionContext) -> Vec<u8> {
    block_on(kuvert.seal(b"plaintext", context)).unwrap().unwrap()
}

/// The category of what opening fails with, `None` if it does not.
fn open(kuvert: &Kuvert, message: &[u8], context: &EncryptionContext) -> Option<Category> {
    block_on(kuvert.open(message, context)).unwrap().err().map(|error| error.category())
}

#[test]
fn order_does_not_matter() {
    let kuvert = kuvert();
    let (ab, ba) = (stored(&[("a", "1"), ("b", "2")]), stored(&[("b", "2"), ("a", "1")]));
    assert_eq!(ab, ba);
    let added = EncryptionContext::empty().with_stored("b", "2").unwrap().with_stored("a", "1").unwrap();
    assert_eq!(ab, added);
    let (one, other) = (seal(&kuvert, &ab), seal(&kuvert, &ba));
    let header = |message: &[u8]| {
        let start = MessageStart::parse(message).unwrap();
        let pairs: Vec<_> =
            start.header().claimed_context().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        pairs
    };
    assert_eq!(header(&one), header(&other));
    assert_eq!(header(&one), [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    assert_eq!(open(&kuvert, &one, &ba), None);
    assert_eq!(open(&kuvert, &other, &added), None);
}

#[test]
fn every_pair_is_bound() {
    let kuvert = kuvert();
    let sealed = seal(&kuvert, &stored(&[("a", "1")]).with_required("b", "2").unwrap());
    for (context, expected) in [
        (stored(&[("a", "1"), ("b", "2")]), None),
        (required(&[("a", "1"), ("b", "2")]), None),
        (required(&[("b", "2")]), Some(Category::WrongContext)),
        (stored(&[("a", "1")]), Some(Category::WrongContext)),
        (stored(&[("a", "1"), ("b", "3")]), Some(Category::WrongContext)),
        (stored(&[("a", "2"), ("b", "2")]), Some(Category::WrongContext)),
        (stored(&[("a", "1"), ("b", "2"), ("c", "")]), Some(Category::WrongContext)),
        (stored(&[("a", "2"), ("b", "1")]), Some(Category::WrongContext)),
        (stored(&[("a", "1"), ("B", "2")]), Some(Category::WrongContext)),
        (EncryptionContext::empty(), Some(Category::WrongContext)),
    ] {
        assert_eq!(open(&kuvert, &sealed, &context), expected, "{context:?}");
    }
}

#[test]
fn an_empty_context_opens_under_an_empty_context_only() {
    let kuvert = kuvert();
    let sealed = seal(&kuvert, &EncryptionContext::empty());
    assert_eq!(open(&kuvert, &sealed, &EncryptionContext::default()), None);
    assert_eq!(open(&kuvert, &sealed, &stored(&[("a", "")])), Some(Category::WrongContext));
}

#[test]
fn a_pair_without_a_value_is_a_pair() {
    let kuvert = kuvert();
    let sealed = seal(&kuvert, &required(&[("flag", "")]));
    assert_eq!(open(&kuvert, &sealed, &stored(&[("flag", "")])), None);
    assert_eq!(open(&kuvert, &sealed, &EncryptionContext::empty()), Some(Category::WrongContext));
}

#[test]
fn stored_pairs_go_unpresented_only_by_name() {
    let kuvert = kuvert();
    let sealed = seal(&kuvert, &stored(&[("a", "1")]).with_required("b", "2").unwrap());
    assert_eq!(open(&kuvert, &sealed, &required(&[("b", "2")])), Some(Category::WrongContext));
    let accepting = kuvert.with_open_options(OpenOptions::default().with_accept_stored_context(true));
    assert_eq!(open(&accepting, &sealed, &required(&[("b", "2")])), None);
    assert_eq!(open(&accepting, &sealed, &stored(&[("a", "1"), ("b", "2")])), None);
    assert_eq!(open(&accepting, &sealed, &EncryptionContext::empty()), Some(Category::WrongContext));
    assert_eq!(open(&accepting, &sealed, &stored(&[("a", "x"), ("b", "2")])), Some(Category::WrongContext));
}

#[test]
fn nothing_is_normalised() {
    let kuvert = kuvert();
    let forms = ["\u{e9}", "e\u{301}", "\u{c9}", "e"];
    for sealed_as in forms {
        let by_value = seal(&kuvert, &required(&[("name", sealed_as)]));
        let by_name = seal(&kuvert, &required(&[(sealed_as, "1")]));
        for presented in forms {
            let expected = (sealed_as != presented).then_some(Category::WrongContext);
            assert_eq!(open(&kuvert, &by_value, &required(&[("name", presented)])), expected);
            assert_eq!(open(&kuvert, &by_name, &required(&[(presented, "1")])), expected);
        }
    }
    let both = stored(&[("\u{e9}", "1"), ("e\u{301}", "2")]);
    assert_eq!(
        both.names().collect::<Vec<_>>(),
        ["e\u{301}", "\u{e9}"],
        "two names, in the order of their bytes"
    );
}

#[test]
fn names_come_in_the_order_of_their_bytes() {
    let context =
        stored(&[("b", ""), ("a\u{10000}", ""), ("a\u{ffff}", ""), ("B", ""), ("a", ""), ("aa", "")]);
    assert_eq!(context.names().collect::<Vec<_>>(), ["B", "a", "aa", "a\u{ffff}", "a\u{10000}", "b"]);
    assert_eq!((context.len(), context.is_empty()), (6, false));
    assert_eq!(EncryptionContext::empty().len(), 0);
    assert!(EncryptionContext::empty().is_empty());
}

#[test]
fn a_name_is_given_once() {
    let context = stored(&[("a", "1")]);
    for again in [context.clone().with_stored("a", "1"), context.clone().with_required("a", "2")] {
        assert_eq!(again.unwrap_err(), ContextError::Duplicate("a".to_owned()));
    }
    let twice = EncryptionContext::new([("a", "1"), ("a", "1")]).unwrap_err();
    assert_eq!((twice.clone(), twice.category()), (ContextError::Duplicate("a".to_owned()), Category::Usage));
}

#[test]
fn names_are_not_empty_and_not_ours() {
    let empty = EncryptionContext::new([("", "1")]).unwrap_err();
    assert_eq!((empty.clone(), empty.category()), (ContextError::EmptyName, Category::Usage));
    for name in ["kuvert:", "kuvert:role", "kuvert:reference", "aws-crypto-", "aws-crypto-public-key"] {
        let error = EncryptionContext::new([(name, "1")]).unwrap_err();
        assert_eq!(error, ContextError::Reserved(name.to_owned()));
        assert_eq!(error.category(), Category::Usage);
        assert_eq!(EncryptionContext::empty().with_required(name, "1").unwrap_err(), error);
    }
    for name in ["kuvert", "Kuvert:x", "aws-crypto", "x-kuvert:", "aws:crypto-"] {
        assert!(EncryptionContext::new([(name, "1")]).is_ok(), "{name}");
    }
}

#[test]
fn values_show_nowhere() {
    const PLANTED: &str = "pl4nted-value";
    let context = stored(&[("table", PLANTED)]).with_required("row", PLANTED).unwrap();
    assert_eq!(format!("{context:?}"), r#"EncryptionContext { stored: ["table"], required: ["row"] }"#);
    let kuvert = kuvert();
    let sealed = seal(&kuvert, &context);
    let start = MessageStart::parse(&sealed).unwrap();
    let mut shown = format!("{start:?} {:?} {kuvert:?}", start.header());
    let opener = block_on(kuvert.opener(start, &context)).unwrap().unwrap();
    shown += &format!("{opener:?} {:?}", opener.report());
    for wrong in [stored(&[("table", PLANTED)]), stored(&[("table", "x")]), stored(&[("other", PLANTED)])] {
        let error = block_on(kuvert.open(&sealed, &wrong)).unwrap().unwrap_err();
        assert!(matches!(error, OpenError::WrongContext(_)));
        shown += &format!("{error} {error:?}");
    }
    let long = PLANTED.repeat(400);
    for error in [
        stored(&[("a", PLANTED)]).with_stored("a", PLANTED).unwrap_err(),
        EncryptionContext::new([("", PLANTED)]).unwrap_err(),
        EncryptionContext::new([("kuvert:x", PLANTED)]).unwrap_err(),
        EncryptionContext::new([("a", long)]).unwrap_err(),
    ] {
        shown += &format!("{error} {error:?}");
    }
    assert!(!shown.contains("pl4nted"), "{shown}");
    assert!(shown.contains("table"), "the names do show: {shown}");
}

#[test]
fn the_verified_context_is_the_whole_one() {
    let kuvert = kuvert().with_open_options(OpenOptions::default().with_accept_stored_context(true));
    let context = stored(&[("b", "2")]).with_required("a", "1").unwrap();
    let sealed = seal(&kuvert, &context);
    let start = MessageStart::parse(&sealed).unwrap();
    let opener = block_on(kuvert.opener(start, &required(&[("a", "1")]))).unwrap().unwrap();
    assert_eq!(opener.context().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
}
