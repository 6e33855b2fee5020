//! What `kuvert doctor` takes for personal data, and what it does not.

use crate::personal::{Suspicion, of_text, suspicion};

#[test]
fn values_that_look_personal() {
    use Suspicion::{MailAddress, PersonalNumber, PhoneNumber, SocialSecurityNumber};
    for (value, why) in [
        ("anna@example.se", MailAddress),
        ("Anna Andersson <anna.andersson+x@mail.example.co.uk>", MailAddress),
        ("åsa@exämple.se", MailAddress),
        ("811228-9874", PersonalNumber),
        ("8112289874", PersonalNumber),
        ("19811228-9874", PersonalNumber),
        ("198112289874", PersonalNumber),
        ("811228+9874", PersonalNumber),
        ("of 811228-9874, closed", PersonalNumber),
        // A coordination number: the day with 60 added.
        ("701063-2391", PersonalNumber),
        ("123-45-6789", SocialSecurityNumber),
        ("+46 70 123 45 67", PhoneNumber),
        ("+46701234567", PhoneNumber),
        ("0046 70-123 45 67", PhoneNumber),
        ("070-123 45 67", PhoneNumber),
        ("(08) 123 456 78", PhoneNumber),
    ] {
        assert_eq!(of_text(value), Some(why), "{value}");
        assert_eq!(suspicion("id", value), Some(why), "{value}");
        assert!(!why.describe().contains(value));
    }
}

#[test]
fn values_that_do_not() {
    for value in [
        "",
        "42",
        "shop",
        "2026-11-21",
        "20261121",
        "2026-11-21T03:00:00Z",
        "01-02-2026",
        "db1.example.se",
        "postgres@localhost",
        "user@host:/path",
        "@handle",
        "7f3a",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        // The check digit is wrong, the month is none, the hyphen stands elsewhere, the century is none.
        "811228-9873",
        "811328-9874",
        "81122-89874",
        "158112289874",
        "8112289874123",
        "000-12-3456",
        "123-00-4567",
        "123-45-67890",
        "0123456789",
        "+1",
        "1.2.3.4",
        "10.0.0.1",
        "1732147200",
        "ab+46701234567",
    ] {
        assert_eq!(of_text(value), None, "{value}");
        assert_eq!(suspicion("id", value), None, "{value}");
    }
}

#[test]
fn names_that_say_it_in_any_style() {
    for name in [
        "email",
        "e-mail",
        "E-Mail",
        "customer_email",
        "userEmail",
        "mail",
        "phone",
        "phoneNumber",
        "mobile",
        "ssn",
        "SSN",
        "personnummer",
        "name",
        "first_name",
        "firstName",
        "LAST-NAME",
        "full name",
        "username",
        "user_name",
        "customerName",
        "date_of_birth",
        "dob",
        "patient",
        "patient-id",
        "home_address",
        "passport",
    ] {
        assert_eq!(suspicion(name, "7f3a"), Some(Suspicion::Name), "{name}");
    }
    for name in [
        "",
        "id",
        "table",
        "host",
        "hostname",
        "table_name",
        "tableName",
        "filename",
        "database",
        "tenant",
        "user_id",
        "date",
        "column",
        "nam",
        "renamed",
        "names_of_tables",
        "mailbox-no",
        "telephoto",
        "pnrs",
    ] {
        assert_eq!(suspicion(name, "7f3a"), None, "{name}");
    }
}
