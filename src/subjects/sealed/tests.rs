//! What a sealed value looks like from outside: its bytes, and nothing of them in `Debug`.

use super::*;

fn sealed() -> Sealed<String> {
    Sealed::from_bytes([&[0xf8, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0xaa; 40]].concat())
}

#[test]
fn it_is_its_bytes() {
    let one = sealed();
    assert_eq!((one.clone(), one.claimed_reference()), (sealed(), Some(7)));
    assert_ne!(one, Sealed::from_bytes(vec![1]));
    assert_eq!(Sealed::<u8>::from_bytes(b"text".to_vec()).claimed_reference(), None);
    assert_eq!(format!("{one:?}"), "Sealed(49 bytes)");
    assert_eq!(one.as_ref(), one.as_bytes());
    assert_eq!(one.clone().into_bytes(), one.as_bytes());
}

#[cfg(feature = "serde")]
#[test]
fn it_travels_as_base64_in_text() {
    let json = serde_json::to_string(&(sealed(), Some(sealed()))).unwrap();
    assert!(json.starts_with(r#"["+AAAAAAAAAAHqqqqq"#), "{json}");
    let (one, other): (Sealed<String>, Option<Sealed<u64>>) = serde_json::from_str(&json).unwrap();
    assert_eq!((one, other.map(Sealed::into_bytes)), (sealed(), Some(sealed().into_bytes())));
    for bad in ["\"anna@example.se\"", "7", "null"] {
        assert!(serde_json::from_str::<Sealed<String>>(bad).is_err(), "{bad}");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn it_is_a_blob_in_a_database() {
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, email BLOB, name TEXT)").unwrap();
    let put = "INSERT INTO t (email, name) VALUES (?1, 'plain')";
    database.execute(put, [Some(sealed())]).unwrap();
    database.execute(put, [None::<Sealed<String>>]).unwrap();
    let read = |id: i64| {
        database.query_row("SELECT email FROM t WHERE id = ?1", [id], |row| {
            row.get::<_, Option<Sealed<String>>>(0)
        })
    };
    assert_eq!([read(1).unwrap(), read(2).unwrap()], [Some(sealed()), None]);
    let text = database.query_row("SELECT name FROM t", [], |row| row.get::<_, Sealed<String>>(0));
    assert!(text.is_err());
}
