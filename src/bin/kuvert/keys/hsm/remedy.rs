//! What to do about a token that cannot be asked.

use std::error::Error;

use kuvert::ProviderError;
use kuvert::provider::pkcs11::Pkcs11Failure;

use crate::remedy;

/// Why the token could not be asked, if it is about a token.
pub(crate) fn failure_of(error: &ProviderError) -> Option<&Pkcs11Failure> {
    remedy::causes(error).find_map(<dyn Error>::downcast_ref)
}

/// The next step, if there is one that the message does not say itself.
pub(crate) fn of(failure: &Pkcs11Failure) -> Option<&'static str> {
    use Pkcs11Failure as Of;
    Some(match failure {
        Of::Module { .. } => {
            "is module-path the file of a PKCS#11 module of this machine's kind? SoftHSM's is libsofthsm2.so, and each \
             maker's manual names its own"
        }
        Of::NoToken { .. } => {
            "is it plugged in, or its server up, and may this user see it? 'kuvert hsm list MODULE' shows what is there; \
             another key of the file opens it, too"
        }
        Of::NoKey { .. } => {
            "are label and id right? 'kuvert hsm list' shows the token's keys, and 'kuvert hsm keygen' makes one"
        }
        Of::SeveralKeys { matching } if matching.windows(2).all(|pair| pair[0] == pair[1]) => {
            "two keys of one label and id cannot be told apart: delete one, or give it another id"
        }
        Of::UnfitKey { .. } => {
            "'kuvert hsm list' shows what each key is good for, and 'kuvert hsm keygen' makes one"
        }
        Of::NoMechanism { .. } => {
            "choose what the token has: x-wrap=aes-gcm, aes-kwp, rsa-oaep-sha256 or rsa-oaep-sha1 in the URI; \
             'kuvert hsm list' shows what its keys can do"
        }
        Of::TwoTypes { .. } => "give each URI of this key the same x-wrap, or make another key",
        Of::NoPin => "kuvert asks for it on a terminal; elsewhere, put it into a file of mode 0600",
        Of::PinFile { .. } => "name a file of mode 0600 that holds nothing but the PIN",
        Of::BadPin => "the file holds the PIN and nothing else, on one line",
        Of::PinRefused { .. } => {
            "correct it before anything else is tried: after a few wrong ones in a row the token locks itself"
        }
        Of::PinLocked { .. } => "the security officer sets a new PIN; another key of the file opens it, too",
        Of::WrongAnswer { .. } => "compare x-wrap, x-iv and x-mechanism with the token's manual",
        Of::Wedged | Of::Deadline => {
            "is the token, its server or its daemon stuck? 'kuvert hsm check' tries it; another key of the file opens \
             it, too"
        }
        Of::Call { .. } => {
            "'kuvert hsm check' tries the token and its key; the module's own log may say more"
        }
        Of::Taken { .. } => "name another id; a key that is there is never replaced",
        _ => return None,
    })
}
