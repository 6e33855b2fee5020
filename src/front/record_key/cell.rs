//! What a record is the value of: a table, a column and a row, or parts of the caller's own.
//!
//! Floor 5. Borrowed, never allocated, and never shown: row keys are often personal data themselves.
//! Rule R-3 of the [format](crate::manual::format).

use std::fmt;

/// The place that a record belongs to. It opens there and nowhere else.
///
/// Part of every seal and open, and stored nowhere: the reader knows which cell it reads. The parts are told apart, so
/// that table `ab` column `c` is not table `a` column `bc`; names are compared byte by byte, upper and lower case
/// differ.
///
/// # Security
///
/// Use what stays the same for the life of the value. A row key that the database makes up is unknown before the
/// insert: make the key first (a UUID), or insert, then seal and update within one transaction, or bind something
/// else that is known, such as the customer's number.
///
/// # Examples
///
/// ```
/// use kuvert::Cell;
///
/// let by_number = Cell::new("customers", "email", 42);
/// let by_name = Cell::new("customers", "email", "C-0042");
/// let by_uuid = Cell::new("customers", "email", [0x01_u8; 16]);
/// let of_parts: &[&[u8]] = &[b"eu-north", b"customers", b"email", b"C-0042"];
/// let finer = Cell::from_parts(of_parts);
/// assert_eq!(format!("{by_number:?}"), r#"Cell { table: "customers", column: "email", .. }"#);
/// # let _ = (by_name, by_uuid, finer);
/// ```
#[derive(Clone, Copy)]
pub struct Cell<'a>(Kind<'a>);

#[derive(Clone, Copy)]
enum Kind<'a> {
    Table { table: &'a str, column: &'a str, row: Row<'a> },
    Parts(&'a [&'a [u8]]),
}

impl<'a> Cell<'a> {
    /// The value of `column` in the row with the key `row`.
    ///
    /// Integers of every width count as 8 bytes big-endian, so that `7_u32` and `7_i64` are the same row; 16-byte arrays
    /// are UUIDs; text and other bytes count as they are. `42` and `"42"` are different rows.
    #[must_use]
    pub fn new(table: &'a str, column: &'a str, row: impl RowKey<'a>) -> Self {
        Self(Kind::Table { table, column, row: row.into_row() })
    }

    /// Whatever the parts say, in this order; at most 65 535 of them.
    #[must_use]
    pub const fn from_parts(parts: &'a [&'a [u8]]) -> Self {
        Self(Kind::Parts(parts))
    }

    pub(crate) fn with_parts<R>(&self, work: impl FnOnce(&[&[u8]]) -> R) -> R {
        match &self.0 {
            // fmt: R-3
            Kind::Table { table, column, row } => {
                work(&[table.as_bytes(), column.as_bytes(), row.as_bytes()])
            }
            Kind::Parts(parts) => work(parts),
        }
    }
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Cell");
        match self.0 {
            Kind::Table { table, column, .. } => shown.field("table", &table).field("column", &column),
            Kind::Parts(parts) => shown.field("parts", &parts.len()),
        };
        shown.finish_non_exhaustive()
    }
}

/// What can be the key of a row: integers, text, bytes, and the 16 bytes of a UUID.
pub trait RowKey<'a>: sealed::IntoRow<'a> {}

impl<'a, T: sealed::IntoRow<'a>> RowKey<'a> for T {}

/// A row key as bytes, borrowed or small.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a row key is never shown")]
pub enum Row<'a> {
    Borrowed(&'a [u8]),
    Number([u8; 8]),
    Uuid([u8; 16]),
}

impl Row<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Number(bytes) => bytes,
            Self::Uuid(bytes) => bytes,
        }
    }
}

mod sealed {
    use super::Row;

    pub trait IntoRow<'a> {
        fn into_row(self) -> Row<'a>;
    }

    macro_rules! unsigned {
        ($($number:ty),*) => {
            $(impl<'a> IntoRow<'a> for $number {
                fn into_row(self) -> Row<'a> {
                    Row::Number(u64::from(self).to_be_bytes())
                }
            })*
        };
    }
    macro_rules! signed {
        ($($number:ty),*) => {
            $(impl<'a> IntoRow<'a> for $number {
                fn into_row(self) -> Row<'a> {
                    Row::Number(i64::from(self).to_be_bytes())
                }
            })*
        };
    }
    unsigned!(u8, u16, u32, u64);
    signed!(i8, i16, i32, i64);

    impl<'a> IntoRow<'a> for [u8; 16] {
        fn into_row(self) -> Row<'a> {
            Row::Uuid(self)
        }
    }
    impl<'a> IntoRow<'a> for &'a [u8] {
        fn into_row(self) -> Row<'a> {
            Row::Borrowed(self)
        }
    }
    impl<'a, const N: usize> IntoRow<'a> for &'a [u8; N] {
        fn into_row(self) -> Row<'a> {
            Row::Borrowed(self)
        }
    }
    impl<'a> IntoRow<'a> for &'a Vec<u8> {
        fn into_row(self) -> Row<'a> {
            Row::Borrowed(self)
        }
    }
    impl<'a> IntoRow<'a> for &'a str {
        fn into_row(self) -> Row<'a> {
            Row::Borrowed(self.as_bytes())
        }
    }
    impl<'a> IntoRow<'a> for &'a String {
        fn into_row(self) -> Row<'a> {
            Row::Borrowed(self.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(cell: &Cell<'_>) -> Vec<Vec<u8>> {
        cell.with_parts(|parts| parts.iter().map(|part| part.to_vec()).collect())
    }

    fn row<'a>(row: impl RowKey<'a>) -> Vec<u8> {
        parts(&Cell::new("t", "c", row)).pop().unwrap()
    }

    #[test]
    fn a_cell_is_table_column_row() {
        assert_eq!(parts(&Cell::new("t", "c", "r")), [b"t", b"c", b"r"]);
        assert_eq!(parts(&Cell::from_parts(&[b"x", b""])), [&b"x"[..], b""]);
        assert_eq!(parts(&Cell::from_parts(&[])), [b""; 0]);
    }

    #[test]
    fn integers_of_every_width_are_eight_bytes() {
        let seven = [0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!([row(7_u8), row(7_u16), row(7_u32), row(7_u64)], [seven; 4]);
        assert_eq!([row(7_i8), row(7_i16), row(7_i32), row(7_i64)], [seven; 4]);
        assert_eq!([row(-1_i8), row(-1_i16), row(-1_i32), row(-1_i64)], [[0xff; 8]; 4]);
        assert_eq!(row(7), seven, "a bare literal");
        assert_eq!(row(u64::MAX), [0xff; 8]);
    }

    #[test]
    fn text_and_bytes_are_as_they_are() {
        let text = String::from("C-42");
        assert_eq!([row("C-42"), row(&text), row(text.as_bytes()), row(b"C-42")], [*b"C-42"; 4]);
        assert_eq!(row(&vec![1, 2]), [1, 2]);
        assert_eq!(row([9; 16]), [9; 16]);
        assert_ne!(row("42"), row(42));
    }

    #[test]
    fn nothing_of_a_row_is_shown() {
        let by_text = Cell::new("customers", "email", "198001012384");
        let of_parts = Cell::from_parts(&[b"198001012384"]);
        assert_eq!(
            format!("{by_text:?} {of_parts:?}"),
            r#"Cell { table: "customers", column: "email", .. } Cell { parts: 1, .. }"#
        );
    }
}
