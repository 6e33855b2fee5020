//! Every fault by itself, with its place and a word of its remedy; and many of them together.

#[cfg(feature = "aws-kms")]
use super::arn;
use super::{around, around_one, block_on, one, read, told};

/// The only fault of a text stands at `path` and says `word`.
fn only(text: &str, path: &str, word: &str) {
    let config = read(text);
    let faults = config.faults();
    assert!(faults.len() == 1, "{text}\n{:?}", told(&faults));
    assert_eq!(faults[0].path(), path, "{text}\n{faults:?}");
    assert!(faults[0].problem().contains(word), "{word}: {faults:?}");
    let error = block_on(config.build(&super::super::Parts::default()));
    let error = error.unwrap_err();
    assert!(error.faults().contains(&faults[0]), "{error}");
    assert_eq!(error.category().exit_status(), 2);
}

fn none(text: &str) {
    assert_eq!(told(&read(text).faults()), [""; 0], "{text}");
}

#[test]
fn what_is_missing_unknown_or_of_another_type() {
    none(&one("type = \"key-file\"\npaths = [\"a\"]"));
    only("", "provider", "missing");
    only("provider = 1", "provider", "text");
    only("providers = 1\nprovider = \"p\"", "providers", "[providers.NAME]");
    let texts = [
        ("paths = [\"a\"]", "type", "\"any-of\""),
        ("type = 3", "type", "\"any-of\""),
        ("type = \"kms\"", "type", "\"aws-kms\""),
        ("type = \"key-file\"", "paths", "backup.key"),
        ("type = \"key-file\"\npaths = \"a\"", "paths", "sequence"),
        ("type = \"key-file\"\npaths = [\"a\", 7]", "paths[1]", "integer"),
        ("type = \"key-file\"\npaths = []", "paths", "empty"),
        ("type = \"key-file\"\npaths = [\"\"]", "paths[0]", "empty"),
        ("type = \"key-file\"\npaths = [\"a\", \"a\"]", "paths[1]", "same file"),
        ("type = \"key-file\"\npaths = [\"a\"]\nmode = 1", "mode", "no such key"),
        ("type = \"guarded\"", "provider", "inside"),
    ];
    for (section, key, word) in texts {
        only(&one(section), &format!("providers.p.{key}"), word);
    }
    only(&format!("tries = 1\n{}", one("type = \"key-file\"\npaths = [\"a\"]")), "tries", "`providers`");
    only("provider = \"p\"\n[providers]\np = 1", "providers.p", "table");
}

#[test]
fn options_that_are_misread() {
    let wrapped = |options: &str| around_one(&format!("type = \"guarded\"\nprovider = \"a\"\n{options}"));
    for (options, key, word) in [
        ("deadlines = \"3s\"", "deadlines", "`deadline`"),
        ("deadlines = [[1], { a = 1 }]", "deadlines", "`deadline`"),
        ("deadline = 3", "deadline", "\"250ms\""),
        ("deadline = \"3 s\"", "deadline", "\"250ms\""),
        ("max_concurrent = -1", "max_concurrent", "-1"),
        ("attempts = 4294967296", "attempts", "4294967296"),
        ("breaker = 1", "breaker", "BreakerOptions"),
        ("breaker.windows = \"1s\"", "breaker.windows", "`window`"),
        ("breaker.window = true", "breaker.window", "\"250ms\""),
    ] {
        only(&wrapped(options), &format!("providers.p.{key}"), word);
    }
    let composed = |options: &str| around(&format!("type = \"any-of\"\nmembers = [\"a\", \"b\"]\n{options}"));
    none(&composed("hedge = { after = \"1s\" }"));
    none(&composed("hedge = \"never\""));
    only(&composed("hedge = \"soon\""), "providers.p.hedge", "`usual`");
    only(&composed("hedge = { after = 1 }"), "providers.p.hedge.after", "\"250ms\"");
    only(&composed("hedge = { after = \"1s\", never = true }"), "providers.p.hedge.never", "expected unit");
    let policy = |options: &str| {
        around_one(&format!("type = \"policy\"\nprovider = \"a\"\nregions = [\"eu-north-1\"]\n{options}"))
    };
    none(&policy("types = [\"aes-kwp\"]\nresidency = \"eu\""));
    only(&policy("types = [\"aes-kwp\"]\nresidency = \"europe\""), "providers.p.residency", "`eu-sovereign`");
}

#[test]
fn names() {
    only("provider = \"q\"", "provider", "there are: none");
    let files = "[providers.q]\ntype = \"key-file\"\npaths = [\"a\"]";
    only(&format!("{}{files}", one("type = \"key-file\"\npaths = [\"a\"]")), "providers.q", "nothing refers");
    only(&around("type = \"any-of\"\nmembers = [\"a\", \"b\", \"c\"]"), "providers.p.members[2]", "a, b, p");
    let twice = around("type = \"any-of\"\nmembers = [\"a\", \"b\", \"a\"]");
    only(&twice, "providers.p.members[2]", "providers.p.members[0]");
    let spaced = "provider = \"a b\"\n[providers.\"a b\"]\ntype = \"key-file\"\npaths = [\"a\"]";
    only(spaced, "providers.\"a b\"", "hyphens");
    only(&spaced.replace("a b", ""), "providers.\"\"", "hyphens");
    let long = "n".repeat(65);
    only(&spaced.replace("a b", &long), &format!("providers.{long}"), "64");
    none(&spaced.replace("a b", &long[1..]));
}

#[test]
fn rings_and_towers() {
    let ring = "provider = \"a\"\n\
        [providers.a]\ntype = \"guarded\"\nprovider = \"b\"\n[providers.b]\ntype = \"cached\"\nprovider = \"a\"\n";
    let faults = read(ring).faults();
    let (used, stands) = (&faults[1], &faults[0]);
    assert_eq!((faults.len(), used.path(), stands.path()), (2, "providers.b.provider", "providers.a"));
    assert!(stands.problem().contains("a -> b -> a"), "{faults:?}");
    let own = "provider = \"a\"\n[providers.a]\ntype = \"guarded\"\nprovider = \"a\"\n";
    assert!(told(&read(own).faults())[0].contains("a -> a"));

    let tower = |height: usize| {
        let mut text = "provider = \"p1\"\n".to_owned();
        for n in 1..height {
            text += &format!("[providers.p{n}]\ntype = \"guarded\"\nprovider = \"p{}\"\n", n + 1);
        }
        text + &format!("[providers.p{height}]\ntype = \"key-file\"\npaths = [\"a\"]\n")
    };
    none(&tower(16));
    only(&tower(17), "providers.p1", "more than 16");
    only(&tower(200), "providers.p184", "more than 16");
    only(&tower(257), "providers", "at most 256");
}

#[test]
fn numbers_out_of_range_and_contradictions() {
    let any_of = "type = \"any-of\"\nmembers = [\"a\", \"b\"]\n";
    let all_of = "provider = \"p\"\n[providers.p]\ntype = \"all-of\"\nmembers = [\"a\"]\n\
        [providers.a]\ntype = \"key-file\"\npaths = [\"a\"]";
    only(all_of, "providers.p.members", "2 to 8");
    only(&one("type = \"any-of\"\nmembers = []"), "providers.p.members", "at least one");
    for (option, key, word) in [
        ("min = 0", "min", "1 to 2"),
        ("min = 3", "min", "1 to 2"),
        ("deadline = \"0s\"", "deadline", "zero"),
    ] {
        only(&around(&format!("{any_of}{option}")), &format!("providers.p.{key}"), word);
    }
    let guarded = "type = \"guarded\"\nprovider = \"a\"\n";
    let cached = "type = \"cached\"\nprovider = \"a\"\n";
    for (kind, option, key, word) in [
        (guarded, "deadline = \"0s\"", "deadline", "zero"),
        (guarded, "max_concurrent = 0", "max_concurrent", "at least 1"),
        (guarded, "attempts = 0", "attempts", "at least 1"),
        (guarded, "back_off = \"3s\"", "back_off", "attempts = 1"),
        (guarded, "breaker.window = \"0s\"", "breaker.window", "zero"),
        (guarded, "breaker.min_calls = 0", "breaker.min_calls", "at least 1"),
        (guarded, "breaker.failure_percent = 0", "breaker.failure_percent", "1 to 100"),
        (guarded, "breaker.failure_percent = 101", "breaker.failure_percent", "1 to 100"),
        (guarded, "breaker.open_for = \"0s\"", "breaker.open_for", "zero"),
        (guarded, "breaker.open_for = \"5s\"", "breaker.open_for", "max_open_for, 4s"),
        (cached, "max_age = \"9m\"", "soft_age", "it is 10m, longer than max_age, 9m"),
        (cached, "soft_age = \"0s\"\nmax_age = \"0s\"", "max_age", "zero"),
        (cached, "max_entries = 0", "max_entries", "at least 1"),
        (cached, "max_bytes = 0", "max_bytes", "at least 1"),
        (cached, "max_uses = 0", "max_uses", "at least 1"),
        (cached, "stock.max_keys = 0", "stock.max_keys", "at least 1"),
        (cached, "stock.max_contexts = 0", "stock.max_contexts", "at least 1"),
        (cached, "stock.max_age = \"0s\"", "stock.max_age", "zero"),
    ] {
        only(&around_one(&format!("{kind}{option}")), &format!("providers.p.{key}"), word);
    }
    none(&around_one(&format!("{guarded}back_off = \"3s\"\nattempts = 1")));
    none(&around_one(&format!("{cached}soft_age = \"1m\"\nmax_age = \"1m\"")));
}

#[test]
fn policies() {
    let policy = |rules: &str| around_one(&format!("type = \"policy\"\nprovider = \"a\"\n{rules}"));
    only(&policy("residency = \"eu\""), "providers.p", "types = [\"aes-kwp\"]");
    only(&policy("types = [\"aes-kwp\"]"), "providers.p", "allows every key");
    let good = "types = [\"aes-kwp\"]\n";
    for (rule, key, word) in [
        ("accounts = [\"111122223333\", \"1\"]", "accounts[1]", "12 digits"),
        ("keys = [\"alias/a\"]", "keys[0]", "describe-key"),
        ("regions = [\"Frankfurt\"]", "regions[0]", "no region"),
        ("partitions = [\"\"]", "partitions[0]", "no partition"),
    ] {
        only(&policy(&format!("{good}{rule}")), &format!("providers.p.{key}"), word);
    }
    let pending = "residency = \"eu\"\ntypes = [\"aes-kwp\", \"pending\"]";
    only(&policy(pending), "providers.p.types[1]", "cannot be listed");
    only(&policy("residency = \"eu\"\ntypes = [\"aes-kwp\", \"aes\"]"), "providers.p.types[1]", "aes-kwp");
}

#[cfg(feature = "aws-kms")]
#[test]
fn keys_in_kms() {
    let kms = |options: &str| one(&format!("type = \"aws-kms\"\n{options}"));
    let good = format!("sealing_key = \"{}\"\n", arn("eu-central-1"));
    none(&kms(&good));
    only(
        &kms("sealing_key = \"alias/backup\"\nrole = \"seal-and-open\"\n"),
        "providers.p.sealing_key",
        "describe-key",
    );
    only(&kms(&format!("{good}opening_keys = [\"1234abcd\"]")), "providers.p.opening_keys[0]", "ARN");
    only(&kms(""), "providers.p", "no sealing key");
    only(&kms(&format!("{good}deadline = \"0s\"")), "providers.p", "deadline is zero");
    only(&kms(&format!("{good}role = \"open-only\"")), "providers.p", "only opens");
    only(&kms(&format!("{good}role = \"reader\"")), "providers.p.role", "`open-only`");
    let pinned = format!("[providers.p.public_keys]\n\"{}\" = \"MIIB\"", arn("eu-west-1"));
    only(&kms(&format!("{good}{pinned}")), "providers.p.public_keys", "SubjectPublicKeyInfo");
    let secret = format!("{good}access_key = \"AKIA\"");
    only(&kms(&secret), "providers.p.access_key", "unknown field");
    assert!(!told(&read(&kms(&secret)).faults()).concat().contains("AKIA"));
}

#[cfg(feature = "aws-kms")]
#[test]
fn a_key_outside_of_its_policy_is_told_wherever_it_stands() {
    let (london, stockholm) = (arn("eu-west-2"), arn("eu-north-1"));
    let tree = |kind: &str, key: &str| {
        format!(
            "provider = \"eu\"\n[providers.eu]\ntype = \"policy\"\nprovider = \"both\"\nresidency = \"eu\"\n\
             types = [\"aes-kwp\"]\n[providers.both]\ntype = \"{kind}\"\nmembers = [\"kms\", \"file\"]\n\
             [providers.kms]\ntype = \"aws-kms\"\nsealing_key = \"{key}\"\n\
             [providers.file]\ntype = \"key-file\"\npaths = [\"a\"]\n"
        )
    };
    for kind in ["any-of", "all-of"] {
        none(&tree(kind, &stockholm));
        only(&tree(kind, &london), "providers.eu", "eu-west-2");
        assert!(told(&read(&tree(kind, &london)).faults())[0].contains("of \"kms\""));
    }
}

#[cfg(feature = "aws-kms")]
#[test]
fn one_key_in_two_members() {
    let members = format!(
        "[providers.a]\ntype = \"aws-kms\"\nsealing_key = \"{0}\"\n[providers.b]\ntype = \"aws-kms\"\n\
         sealing_key = \"{0}\"\n",
        arn("eu-central-1")
    );
    for kind in ["any-of", "all-of"] {
        let composed = one(&format!("type = \"{kind}\"\nmembers = [\"a\", \"b\"]"));
        only(&format!("{composed}{members}"), "providers.p.members", "same key");
    }
    // Either of two keys would be no one custodian's.
    let nested = format!(
        "{}[providers.either]\ntype = \"any-of\"\nmembers = [\"a\", \"b\"]\n{}\
         [providers.c]\ntype = \"aws-kms\"\nsealing_key = \"{}\"",
        one("type = \"all-of\"\nmembers = [\"either\", \"c\"]"),
        members.replacen("eu-central-1", "eu-west-3", 1),
        arn("eu-north-1")
    );
    only(&nested, "providers.p.members[0]", "2 keys");
}

#[test]
fn all_of_them_at_once() {
    let faults = read(MANY).faults();
    let paths: Vec<&str> = faults.iter().map(super::ConfigFault::path).collect();
    let expected = [
        "provider",
        "providers.both.deadline",
        "providers.both.members[2]",
        "providers.both.min",
        "providers.far.type",
        "providers.main.soft_age",
        "providers.main.soft_agee",
        "providers.near.attempts",
        "providers.near.breaker.windw",
        "providers.files.paths[2]",
        "retries",
    ];
    for path in expected {
        assert!(paths.contains(&path), "{path} is missing: {:#?}", told(&faults));
    }
    assert_eq!(paths.len(), expected.len(), "{:#?}", told(&faults));
    assert!(paths.is_sorted());

    let error = block_on(read(MANY).build(&super::super::Parts::default()));
    let error = error.unwrap_err();
    assert_eq!(error.to_string().lines().count(), error.faults().len());
    assert!(faults.iter().all(|fault| error.faults().contains(fault)), "{error}");
}

#[test]
fn a_key_in_a_configuration_is_refused_and_not_shown() {
    let key = "kuvert-key-v1:backup:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    for section in [
        format!("type = \"key-file\"\npaths = [\"{key}\"]"),
        format!("type = \"key-file\"\npaths = \"{key}\""),
        format!("type = \"key-file\"\npaths = [\"a\"]\nkey = \"{key}\""),
        format!("type = \"key-file\"\npaths = [\"a\"]\n\"{key}\" = 1"),
        format!("type = \"{key}\""),
        format!("type = \"guarded\"\nprovider = \"{key}\""),
        format!("type = \"cached\"\nprovider = \"p\"\nstock = {{ max_age = \"{key}\" }}"),
        format!("type = \"cached\"\nprovider = \"p\"\nstock = {{ \"{key}\" = 1 }}"),
    ] {
        for text in [one(&section), one(&section).replace("\"p\"", &format!("\"{key}\""))] {
            let config = read(&text);
            let shown = told(&config.faults()).join("\n");
            assert!(!shown.is_empty() && !shown.contains("c2VjcmV0"), "{text}: {shown}");
        }
    }
    let direct = read(&one(&format!("type = \"key-file\"\npaths = [\"{key}\"]")));
    assert!(direct.faults()[0].problem().contains("put that into a key file"));
    let named = format!("provider = \"p\"\n[providers.\"{key}\"]\ntype = \"key-file\"\npaths = [\"a\"]");
    let shown = told(&read(&named).faults()).join("\n");
    assert!(!shown.is_empty() && !shown.contains("c2VjcmV0"), "{shown}");
}

const MANY: &str = "
        provider = 'mian'
        retries = 3

        [providers.main]
        type = 'cached'
        provider = 'both'
        max_age = '5m'
        soft_agee = '1m'

        [providers.both]
        type = 'any-of'
        members = ['near', 'far', 'further']
        min = 4
        deadline = '0s'

        [providers.near]
        type = 'guarded'
        provider = 'files'
        attempts = 0
        breaker = { failure_percent = 200, windw = '3s' }

        [providers.far]
        type = 'nowhere'

        [providers.files]
        type = 'key-file'
        paths = ['a.key', 'b.key', 'a.key']
    ";
