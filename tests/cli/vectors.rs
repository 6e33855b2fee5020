//! The released vectors through the program: every category is its exit status, and a refused file leaves nothing.

use std::fs;
use std::path::Path;

use kuvert::{Category, EncryptionContext};

use crate::sandbox::Sandbox;

struct Vector {
    name: String,
    fields: Vec<(String, String)>,
    input: Vec<u8>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let text = std::str::from_utf8(&bytes[..end]).unwrap();
        let fields = text.lines().map(|line| line.split_once(": ").or(line.split_once(':')).unwrap());
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, fields, input: bytes[end + 2..].to_vec() }
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_owned();
        self.fields.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn status(&self, field: &str) -> Option<i32> {
        let category = self.one(field)?;
        let categories = [
            Category::Usage,
            Category::Malformed,
            Category::Unsupported,
            Category::LimitExceeded,
            Category::Truncated,
            Category::Tampered,
            Category::WrongContext,
            Category::WrongKey,
            Category::KeyUnavailable,
            Category::Refused,
        ];
        let found = categories.iter().find(|own| own.name() == category);
        Some(found.map_or(0, |category| i32::from(category.exit_status())))
    }

    /// The presented pairs, if they can stand on a command line.
    fn pairs(&self) -> Option<Vec<String>> {
        let hex = self.all("context-hex").map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = String::from_utf8(from_hex(name)).ok().filter(|name| !name.contains('='))?;
            Some(format!("{name}={}", String::from_utf8(from_hex(value)).ok()?))
        });
        let plain = self.all("context").map(|pair| Some(pair.to_owned()));
        let pairs: Option<Vec<String>> = plain.chain(hex).collect();
        pairs.filter(|pairs| pairs.iter().all(|pair| !pair.contains('\0')))
    }
}

fn from_hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn vectors(kind: &str) -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let vectors = paths.filter(|path| path.extension().is_some_and(|extension| extension == "kvv"));
    let mut vectors: Vec<Vector> =
        vectors.map(|path| Vector::read(&path)).filter(|vector| vector.one("kind") == Some(kind)).collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    vectors
}

fn write_key_file(sandbox: &Sandbox, bytes: &[u8]) {
    sandbox.write("key", bytes);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(sandbox.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn messages() {
    let sandbox = Sandbox::new();
    let (mut tried, all) = (0, vectors("message"));
    for vector in &all {
        // Options that only the library has, and keys that no key file can hold.
        let is_plain = ["min-generation", "max-header-len"].iter().all(|option| vector.one(option).is_none());
        let keys: Vec<&str> = vector.all("key").collect();
        let Some(pairs) = vector.pairs().filter(|_| is_plain && !keys.is_empty()) else { continue };
        // What cannot be a context is refused before anything is read.
        let impossible = EncryptionContext::new(pairs.iter().filter_map(|pair| pair.split_once('='))).err();
        let before = impossible.map(|error| i32::from(error.category().exit_status()));
        write_key_file(&sandbox, keys.join("\n").as_bytes());
        let mut arguments: Vec<&str> = vec!["open", "-k", "key", "-o", "opened"];
        for pair in &pairs {
            arguments.extend(["-c", pair]);
        }
        if vector.one("accept-stored") == Some("true") {
            arguments.push("--accept-stored-context");
        }
        let mut body = vector.input.as_slice();
        if let Some(len) = vector.one("detached-header") {
            let (header, rest) = body.split_at(len.parse().unwrap());
            sandbox.write("header", header);
            arguments.extend(["--header", "header"]);
            body = rest;
        }
        sandbox.write("in", body);
        let of_file = before.or(vector.status("expect")).unwrap();
        let of_stream = before.or(vector.status("expect-stream")).unwrap_or(of_file);
        check(&sandbox, vector, of_file, &[&arguments[..], &["in"]].concat(), &[]);
        check(&sandbox, vector, of_stream, &arguments, body);
        tried += 1;
    }
    assert!(tried > all.len() / 2, "of {} vectors, {tried} can be tried", all.len());
    println!("{tried} of {} message vectors", all.len());
}

fn check(sandbox: &Sandbox, vector: &Vector, status: i32, arguments: &[&str], input: &[u8]) {
    let ran = sandbox.run_with(arguments, input);
    assert_eq!(ran.status.code(), Some(status), "{}: {ran:?}", vector.name);
    assert!(ran.out.is_empty(), "{}: {ran:?}", vector.name);
    assert_eq!(sandbox.exists("opened"), status == 0, "{}", vector.name);
    if status == 0 {
        assert_eq!(
            sandbox.read("opened").len().to_string(),
            vector.one("plaintext-len").unwrap(),
            "{}",
            vector.name
        );
        let is_told = vector.one("degraded").is_some() || vector.one("unfinished").is_some();
        assert_eq!(is_told, ran.err.contains("warning: "), "{}: {ran:?}", vector.name);
        fs::remove_file(sandbox.path("opened")).unwrap();
    }
}

#[test]
fn key_files() {
    let sandbox = Sandbox::new();
    let all = vectors("key-file");
    assert!(all.len() > 10, "only {} vectors of key files", all.len());
    for vector in &all {
        write_key_file(&sandbox, &vector.input);
        let ran = sandbox.run_with(&["seal", "-k", "key", "-o", "out"], b"x");
        assert_eq!(ran.status.code(), vector.status("expect"), "{}: {ran:?}", vector.name);
        if let Some(first) = vector.one("key-id") {
            let claimed = sandbox.run(&["inspect", "out"]);
            assert!(claimed.text().contains(&format!("\"{first}\"")), "{}: {claimed:?}", vector.name);
            fs::remove_file(sandbox.path("out")).unwrap();
        }
        assert!(!sandbox.exists("out"), "{}", vector.name);
    }
}
