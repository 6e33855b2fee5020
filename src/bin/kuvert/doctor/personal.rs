//! Pairs of an encryption context that look like data about a person.
//!
//! The stored ones stand in clear in every file, for everybody and for good, and those that AWS KMS is told stand in
//! CloudTrail. It judges names and values by their look: what it does not find may be personal data all the same.

/// Why a pair looks personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// By its name, as `email`.
    Name,
    MailAddress,
    /// Swedish, with a check digit that is right.
    PersonalNumber,
    /// Of the form `123-45-6789`.
    SocialSecurityNumber,
    PhoneNumber,
}

impl Suspicion {
    /// What it is taken for, in words.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Name => "its name says so",
            Self::MailAddress => "its value has the form of an e-mail address",
            Self::PersonalNumber => "its value has the form of a personal identity number",
            Self::SocialSecurityNumber => "its value has the form of a social security number",
            Self::PhoneNumber => "its value has the form of a phone number",
        }
    }
}

/// Whether a pair looks personal: by its value, then by its name.
pub(crate) fn suspicion(name: &str, value: &str) -> Option<Suspicion> {
    of_text(value).or_else(|| is_personal_name(name).then_some(Suspicion::Name))
}

/// Whether a text, which may be a value or stand where a name belongs, looks personal.
pub(crate) fn of_text(text: &str) -> Option<Suspicion> {
    let text = text.trim();
    let words = || text.split(|c: char| c.is_whitespace() || ",;<>()\"'=".contains(c));
    if words().any(is_mail_address) {
        return Some(Suspicion::MailAddress);
    }
    if words().any(is_personal_number) {
        return Some(Suspicion::PersonalNumber);
    }
    if words().any(is_social_security_number) {
        return Some(Suspicion::SocialSecurityNumber);
    }
    is_phone_number(text).then_some(Suspicion::PhoneNumber)
}

fn is_mail_address(word: &str) -> bool {
    let Some((local, domain)) = word.rsplit_once('@') else { return false };
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let labels: Vec<&str> = domain.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    !local.is_empty()
        && labels.len() > 1
        && labels.iter().all(|label| is_label(label))
        && top.chars().all(char::is_alphabetic)
        && top.chars().count() > 1
}

/// `YYMMDD-NNNN` or `YYYYMMDDNNNN`, also of a coordination number, whose day has 60 added.
fn is_personal_number(word: &str) -> bool {
    let digits: Vec<u32> = word.chars().filter_map(|c| c.to_digit(10)).collect();
    let rest: String = word.chars().filter(|c| !c.is_ascii_digit()).collect();
    let is_separated_rightly = match word.find(['-', '+']) {
        Some(at) => rest.len() == 1 && word.len() - at == 5,
        None => rest.is_empty(),
    };
    if !is_separated_rightly || !matches!(digits.len(), 10 | 12) {
        return false;
    }
    let century = digits.len() - 10;
    if century == 2 && !matches!(digits[..2], [1, 9] | [2, 0]) {
        return false;
    }
    let ten = &digits[century..];
    let (month, day) = (ten[2] * 10 + ten[3], ten[4] * 10 + ten[5]);
    (1..=12).contains(&month) && matches!(day, 1..=31 | 61..=91) && has_check_digit(ten)
}

/// By Luhn's sum.
fn has_check_digit(digits: &[u32]) -> bool {
    let folded = digits.iter().rev().enumerate().map(|(at, digit)| {
        let weighed = digit * (1 + u32::try_from(at % 2).unwrap_or(0));
        weighed / 10 + weighed % 10
    });
    folded.sum::<u32>() % 10 == 0
}

fn is_social_security_number(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let [area, group, serial] = parts[..] else { return false };
    let is = |part: &str, len| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
    is(area, 3)
        && is(group, 2)
        && is(serial, 4)
        && !matches!(area, "000" | "666")
        && !area.starts_with('9')
        && group != "00"
        && serial != "0000"
}

/// In the international form, or with a leading zero and its groups apart.
fn is_phone_number(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_of_its_signs = text.chars().all(|c| c.is_ascii_digit() || "+-/() .\u{a0}".contains(c));
    if !is_of_its_signs || text.is_empty() {
        return false;
    }
    if let Some(rest) = text.strip_prefix('+').or_else(|| text.strip_prefix("00")) {
        // No country's code begins with 0.
        return !rest.contains('+') && !rest.starts_with('0') && (8..=15).contains(&digits);
    }
    let is_grouped = text.contains(['-', ' ', '/', '(', '\u{a0}']);
    text.trim_start_matches('(').starts_with('0') && is_grouped && (9..=11).contains(&digits)
}

fn is_personal_name(name: &str) -> bool {
    let words = words_of(name);
    let all = words.concat();
    PERSONAL.contains(&all.as_str())
        || words.iter().any(|word| PERSONAL_WORDS.contains(&word.as_str()))
        || words.windows(2).any(|pair| PERSONAL.contains(&pair.concat().as_str()))
}

/// The words of a name in whatever style, in lower case: `firstName`, `first_name` and `first-name` are two.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && was_lower);
        was_lower = c.is_lowercase() || c.is_numeric();
        if begins {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Words that make a name personal wherever they stand in it.
const PERSONAL_WORDS: [&str; 19] = [
    "email",
    "mail",
    "phone",
    "telephone",
    "mobile",
    "ssn",
    "personnummer",
    "pnr",
    "birthday",
    "birthdate",
    "dob",
    "firstname",
    "lastname",
    "surname",
    "fullname",
    "passport",
    "iban",
    "patient",
    "address",
];

/// Names, or two words of one, that are personal as a whole: not `hostname`, nor `table_name`.
const PERSONAL: [&str; 14] = [
    "name",
    "firstname",
    "lastname",
    "givenname",
    "familyname",
    "fullname",
    "username",
    "customername",
    "personname",
    "clientname",
    "dateofbirth",
    "socialsecurity",
    "personalnumber",
    "nationalid",
];
