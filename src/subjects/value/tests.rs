//! Bytes of each type, there and back; bytes that are no value.

use super::*;

fn bytes<P: Plaintext + ?Sized>(value: &P) -> Vec<u8> {
    value.with_bytes(<[u8]>::to_vec).unwrap()
}

fn back<T: Value>(bytes: &[u8]) -> Result<T, NotAValue> {
    T::opened(bytes.to_vec()).map(Opened::into_inner)
}

#[test]
fn every_type_has_its_bytes() {
    assert_eq!(bytes("åäö"), "åäö".as_bytes());
    assert_eq!([bytes(&String::from("a")), bytes(&vec![b'a']), bytes(&b"a"[..])], [b"a", b"a", b"a"]);
    assert_eq!([bytes(&true), bytes(&false)], [[1], [0]]);
    let seven = [0, 0, 0, 0, 0, 0, 0, 7];
    assert_eq!([bytes(&7_u8), bytes(&7_u16), bytes(&7_u32), bytes(&7_u64)], [seven; 4]);
    assert_eq!([bytes(&7_i8), bytes(&7_i16), bytes(&7_i32), bytes(&7_i64)], [seven; 4]);
    assert_eq!([bytes(&-1_i8), bytes(&-1_i64), bytes(&u64::MAX)], [[0xff; 8]; 3]);
    assert_eq!(bytes(&[9_u8; 16]), [9; 16]);
}

#[test]
fn and_comes_back() {
    assert_eq!(back::<String>("åäö".as_bytes()).unwrap(), "åäö");
    assert_eq!(back::<Vec<u8>>(&[0xff, 0]).unwrap(), [0xff, 0]);
    assert_eq!([back::<bool>(&[0]), back::<bool>(&[1])], [Ok(false), Ok(true)]);
    assert_eq!(back::<i8>(&[0xff; 8]), Ok(-1));
    assert_eq!(back::<u64>(&[0xff; 8]), Ok(u64::MAX));
    assert_eq!(back::<[u8; 16]>(&[9; 16]), Ok([9; 16]));
}

#[test]
fn what_is_of_another_type_is_told() {
    assert_eq!(back::<String>(&[0xff]), Err(NotAValue));
    assert_eq!([back::<bool>(&[2]), back::<bool>(&[]), back::<bool>(&[0, 0])], [Err(NotAValue); 3]);
    assert_eq!(back::<u8>(&256_u64.to_be_bytes()), Err(NotAValue));
    assert_eq!(back::<i64>(&[0; 7]), Err(NotAValue));
    assert_eq!(back::<i8>(&128_i64.to_be_bytes()), Err(NotAValue));
    assert_eq!(back::<[u8; 16]>(&[0; 15]), Err(NotAValue));
}

#[cfg(feature = "serde")]
#[test]
fn json_is_text_and_is_never_shown() {
    let notes = Json(vec![("a".to_owned(), 1), ("planted".repeat(200), 2)]);
    let text = bytes(&notes);
    assert!(text.starts_with(br#"[["a",1],["planted"#));
    assert_eq!(back::<Json<Vec<(String, i32)>>>(&text), Ok(notes.clone()));
    assert_eq!(back::<Json<u8>>(&text), Err(NotAValue));
    assert_eq!(format!("{notes:?}"), "Json(..)");
    let no_text = Json(std::collections::HashMap::from([(vec![1_u8], 1_u8)]));
    assert_eq!(Value::with_bytes(&no_text, <[u8]>::len), Err(NotAValue));
}
