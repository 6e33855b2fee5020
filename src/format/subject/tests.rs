//! What stands for names never meets, and shows nothing.

use super::*;

#[test]
fn what_stands_for_no_person_is_never_a_persons_name() {
    let bytes = |name: SubjectName<'_>| {
        let (prefix, len, rest) = name.parts();
        [&prefix[..len], rest].concat()
    };
    let members = [[1; 32], [2; 32]];
    let others = [
        bytes(SubjectName::Class("anna")),
        bytes(SubjectName::Credentials("anna")),
        bytes(SubjectName::Joint { ends: 0, members: &members }),
        bytes(SubjectName::Joint { ends: 1, members: &members }),
    ];
    assert_eq!(bytes(SubjectName::Person("anna")), b"anna");
    for (at, one) in others.iter().enumerate() {
        assert!(std::str::from_utf8(one).is_err());
        assert!(others[at + 1..].iter().all(|other| other != one));
    }
}

#[test]
fn names_have_their_limits() {
    let long = "n".repeat(1025);
    for (name, good) in [("", false), ("a", true), (&long[..1024], true), (&long, false)] {
        for name in [SubjectName::Person(name), SubjectName::Class(name), SubjectName::Credentials(name)] {
            assert_eq!(name.check().is_ok(), good);
        }
    }
    let members: Vec<[u8; 32]> = (0..65).map(|byte| [byte; 32]).collect();
    for (count, good) in [(0, false), (1, false), (2, true), (64, true), (65, false)] {
        assert_eq!(
            SubjectName::Joint { ends: 0, members: &members[..count] }.check().is_ok(),
            good,
            "{count}"
        );
    }
    let twice = [[1; 32], [1; 32]];
    assert!(SubjectName::Joint { ends: 0, members: &twice }.check().is_err());
    assert!(
        check_scope("").is_ok() && check_scope(&long[..255]).is_ok() && check_scope(&long[..256]).is_err()
    );
}

#[test]
fn nothing_is_shown() {
    let key = SubjectKey::new(Secret::copy_from(&[0xab; 32]));
    let place = SubjectPlace { scope: [1; 16], pseudonym: [0xcd; 32], reference: 1, version: 1 };
    let shown = format!("{key:?} {place:?} {:?}", SubjectName::Person("planted"));
    assert_eq!(shown, "SubjectKey(..) SubjectPlace(..) SubjectName(..)");
}

#[test]
fn each_reference_and_label_gives_another_key() {
    let key = SubjectKey::new(Secret::copy_from(&[0xab; 32]));
    let keys = [key.record_key(1), key.record_key(2), key.child_key(1), key.child_key(2)];
    let distinct: std::collections::HashSet<_> = keys.iter().map(|key| *key.expose()).collect();
    assert_eq!(distinct.len(), 4);
}
