//! Arbitrary tables as a configuration of providers.
//!
//! Reading and judging never fails; what is told of names, of unknown keys and of rings is exactly the model's; the
//! faults stand in order, each once; and nothing that looks like a key is shown.

use std::collections::{BTreeMap, BTreeSet};

use kuvert::config::Config;
use serde::{
    Deserialize, Deserializer,
    de::{
        IntoDeserializer, Visitor,
        value::{Error, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use super::input::Input;

pub fn run(data: &[u8]) {
    check(data, &Crate);
}

/// What is tested.
pub trait Judge {
    /// The place and the problem of each fault.
    fn faults(&self, said: Said) -> Vec<(String, String)>;
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Judge for Crate {
    fn faults(&self, said: Said) -> Vec<(String, String)> {
        let config = Config::deserialize(said).expect("a table is always read");
        let faults = config.faults();
        let shown = format!("{config:?}");
        assert!(!shown.contains(SECRET), "{shown}");
        faults.iter().map(|fault| (fault.path().to_owned(), fault.problem().to_owned())).collect()
    }
}

/// What a file says.
#[derive(Debug, Clone)]
pub enum Said {
    Number(u64),
    Text(String),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

/// A section as it was written: what it refers to, and its keys that nobody knows.
#[derive(Debug, Default)]
struct Section {
    inner: Vec<(String, String)>,
    unknown: Vec<String>,
}

pub fn check(data: &[u8], judge: &impl Judge) {
    let (said, root, sections) = write(&mut Input::new(data));
    let faults = judge.faults(said);
    assert!(faults.is_sorted(), "out of order: {faults:?}");
    assert_eq!(faults.iter().collect::<BTreeSet<_>>().len(), faults.len(), "told twice: {faults:?}");
    for (path, problem) in &faults {
        assert!(!path.contains(SECRET) && !problem.contains(SECRET), "a key is shown: {path}: {problem}");
        assert!(!path.is_empty() && !problem.chars().any(char::is_control), "{path:?}: {problem:?}");
    }
    let places = |word: &str| -> BTreeSet<String> {
        faults.iter().filter(|(_, problem)| problem.contains(word)).map(|(path, _)| path.clone()).collect()
    };
    let told: BTreeSet<&String> = faults.iter().map(|(path, _)| path).collect();
    for (name, section) in &sections {
        for key in &section.unknown {
            let path = format!("providers.{name}.{key}");
            assert!(told.contains(&path), "{path} is not told: {faults:?}");
        }
    }

    let (mut unknown, mut again, mut used) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let of_sections = sections.iter().flat_map(|(name, section)| {
        section.inner.iter().map(move |(key, inner)| (format!("providers.{name}.{key}"), inner))
    });
    for (path, name) in [("provider".to_owned(), &root)].into_iter().chain(of_sections) {
        if !sections.contains_key(name) {
            unknown.insert(path);
        } else if !used.insert(name) {
            again.insert(path);
        }
    }
    let unused = sections.keys().filter(|name| !used.contains(name)).map(|name| format!("providers.{name}"));
    assert_eq!(places("is the name of no provider"), unknown, "{faults:?}");
    assert_eq!(places("is used already"), again, "{faults:?}");
    assert_eq!(places("nothing refers to it"), unused.collect(), "{faults:?}");
    let has_ring = sections.keys().any(|name| is_below(&sections, name));
    assert_eq!(!places("it stands in itself").is_empty(), has_ring, "{faults:?}");
}

/// Whether a section stands, at any depth, in itself.
fn is_below(sections: &BTreeMap<String, Section>, name: &String) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![name]);
    while let Some(own) = next.pop() {
        for (_, inner) in sections.get(own).iter().flat_map(|section| &section.inner) {
            if inner == name {
                return true;
            }
            if seen.insert(inner) {
                next.push(inner);
            }
        }
    }
    false
}

/// A file whose sections can all be read, with whatever options.
fn write(input: &mut Input<'_>) -> (Said, String, BTreeMap<String, Section>) {
    let name = |input: &mut Input<'_>| format!("p{}", input.below(8));
    let root = name(input);
    let (mut sections, mut written) = (BTreeMap::new(), Vec::new());
    for _ in 0..input.below(9) {
        let own = name(input);
        if sections.contains_key(&own) {
            continue;
        }
        let kind = KINDS[input.below(KINDS.len())];
        let mut section = Section::default();
        let mut table = vec![("type".to_owned(), Said::Text(kind.to_owned()))];
        match kind {
            "key-file" => table.push(("paths".to_owned(), Said::List(vec![Said::Text("a.key".to_owned())]))),
            "any-of" | "all-of" => {
                let members: Vec<String> = (0..input.below(4)).map(|_| name(input)).collect();
                for (n, member) in members.iter().enumerate() {
                    section.inner.push((format!("members[{n}]"), member.clone()));
                }
                table.push(("members".to_owned(), Said::List(members.into_iter().map(Said::Text).collect())));
            }
            _ => {
                let inner = name(input);
                section.inner.push(("provider".to_owned(), inner.clone()));
                table.push(("provider".to_owned(), Said::Text(inner)));
            }
        }
        for _ in 0..input.below(4) {
            let key = OPTIONS[input.below(OPTIONS.len())];
            if table.iter().all(|(own, _)| own != key) {
                if key == "no_such_key" {
                    section.unknown.push(key.to_owned());
                }
                table.push((key.to_owned(), value(input, 3)));
            }
        }
        written.push((own.clone(), Said::Table(table)));
        sections.insert(own, section);
    }
    let file = vec![
        ("provider".to_owned(), Said::Text(root.clone())),
        ("providers".to_owned(), Said::Table(written)),
    ];
    (Said::Table(file), root, sections)
}

fn value(input: &mut Input<'_>, depth: usize) -> Said {
    match input.below(if depth == 0 { 3 } else { 5 }) {
        0 => Said::Number(u64::from(input.u16())),
        1 => Said::Text(TEXTS[input.below(TEXTS.len())].to_owned()),
        2 => Said::Text(String::from_utf8_lossy(input.short_bytes()).into_owned()),
        3 => Said::List((0..input.below(3)).map(|_| value(input, depth - 1)).collect()),
        _ => {
            let keys = ["after", "window", "max_keys", "kuvert-key-v1:a:bm90LXNob3duLWF0LWFsbA"];
            let key = keys[input.below(keys.len())].to_owned();
            Said::Table(vec![(key, value(input, depth - 1))])
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Said {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Said {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Number(number) => visitor.visit_u64(number),
            Self::Text(text) => visitor.visit_string(text),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Table(entries) => visitor.visit_map(MapDeserializer::new(entries.into_iter())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

const KINDS: [&str; 6] = ["key-file", "any-of", "all-of", "guarded", "cached", "policy"];
const OPTIONS: [&str; 12] = [
    "no_such_key",
    "min",
    "deadline",
    "hedge",
    "attempts",
    "breaker",
    "max_age",
    "stock",
    "types",
    "residency",
    "regions",
    "name",
];
const TEXTS: [&str; 8] =
    ["3s", "0s", "eu", "never", "aes-kwp", "eu-west-2", "", "kuvert-key-v1:a:bm90LXNob3duLWF0LWFsbA"];
/// The part of the key above that must not be shown.
const SECRET: &str = "bm90LXNob3duLWF0LWFsbA";
