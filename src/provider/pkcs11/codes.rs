//! The answers of PKCS#11 calls: their names, and what to do about each.
//!
//! One table, from experiments with several modules: a code alone does not tell a bad wrap from a dead token, and most
//! failures are over once the right thing has been renewed. It knows numbers only. Section "Keys in a hardware security
//! module" of the [operations manual](crate::manual::operations) has the table for people.

use cryptoki::error::{Error, RvError};
use cryptoki_sys as ck;
use cryptoki_sys::CK_RV;

use crate::error::ProviderErrorKind as Kind;

/// A call that failed: with which code, and which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: CK_RV,
    pub(super) call: &'static str,
}

impl Fault {
    pub(super) const fn code(code: CK_RV, call: &'static str) -> Self {
        Self { code, call }
    }

    /// A function that the module does not have.
    pub(super) const fn missing(call: &'static str) -> Self {
        Self { code: ck::CKR_FUNCTION_NOT_SUPPORTED, call }
    }

    /// What `cryptoki` made of a call's answer.
    pub(super) fn of(error: &Error, call: &'static str) -> Self {
        let code = match error {
            Error::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), _) => *code,
            Error::Pkcs11(known, _) => {
                let row = CODES.iter().find(|(_, _, row)| row.as_ref() == Some(known));
                row.map_or(SENSELESS, |(code, ..)| *code)
            }
            Error::NullFunctionPointer => ck::CKR_FUNCTION_NOT_SUPPORTED,
            _ => SENSELESS,
        };
        Self { code, call }
    }
}

/// The name of a code, where the standard has one.
pub(super) fn name(code: CK_RV) -> Option<&'static str> {
    CODES.iter().find(|(own, ..)| *own == code).map(|(_, name, _)| *name)
}

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It was given a wrap that somebody may have damaged.
    Unwrap,
    /// It was given a wrap that the token had just made.
    Verify,
    /// Everything else.
    Other,
}

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Take another session, and try again once.
    NewSession,
    /// Look for the key again, and try again once.
    FindAgain,
    /// Log in, which voids every key handle, and try again once.
    LogIn,
    /// Finalise and initialise the module, and try again while there is time.
    Reconnect,
    /// Wait, and try again while there is time: the token is full.
    BackOff,
    /// Ask by a wrap of our own whether the token is dead or the wrap bad.
    Canary,
    /// Nothing helps.
    Fail(Kind),
}

/// The table.
pub(super) const fn step(code: CK_RV, purpose: Purpose) -> Step {
    match (code, purpose) {
        (ck::CKR_USER_NOT_LOGGED_IN, _) => Step::LogIn,
        (ck::CKR_GENERAL_ERROR | ck::CKR_DEVICE_ERROR | ck::CKR_FUNCTION_FAILED, Purpose::Unwrap) => {
            Step::Canary
        }
        _ if is_of_a_session(code) || code == SENSELESS => Step::NewSession,
        _ if is_of_a_key(code) => Step::FindAgain,
        _ if is_of_the_connection(code) => Step::Reconnect,
        _ if is_of_room(code) => Step::BackOff,
        _ => Step::Fail(kind(code, purpose)),
    }
}

/// What a failure is to the caller once nothing more is tried.
pub(super) const fn kind(code: CK_RV, purpose: Purpose) -> Kind {
    match (code, purpose) {
        _ if is_of_a_key(code) => Kind::NotFound,
        _ if is_of_room(code) => Kind::Throttled,
        _ if is_of_a_session(code) || is_of_the_connection(code) => Kind::Unavailable,
        _ if is_about_the_pin(code) => Kind::Credentials,
        _ if is_of_the_setup(code) => Kind::Misconfigured,
        (ck::CKR_USER_NOT_LOGGED_IN, _) => Kind::Unavailable,
        (ck::CKR_FUNCTION_REJECTED | ck::CKR_ACTION_PROHIBITED, _) => Kind::AccessDenied,
        (_, Purpose::Unwrap) if is_of_the_wrap(code) => Kind::Rejected,
        _ => Kind::Other,
    }
}

const fn is_of_a_session(code: CK_RV) -> bool {
    matches!(
        code,
        ck::CKR_SESSION_HANDLE_INVALID
            | ck::CKR_SESSION_CLOSED
            | ck::CKR_OPERATION_ACTIVE
            | ck::CKR_OPERATION_NOT_INITIALIZED
            | ck::CKR_BUFFER_TOO_SMALL
    )
}

const fn is_of_a_key(code: CK_RV) -> bool {
    matches!(
        code,
        ck::CKR_OBJECT_HANDLE_INVALID
            | ck::CKR_KEY_HANDLE_INVALID
            | ck::CKR_WRAPPING_KEY_HANDLE_INVALID
            | ck::CKR_UNWRAPPING_KEY_HANDLE_INVALID
    )
}

const fn is_of_the_connection(code: CK_RV) -> bool {
    matches!(
        code,
        ck::CKR_GENERAL_ERROR
            | ck::CKR_DEVICE_ERROR
            | ck::CKR_FUNCTION_FAILED
            | ck::CKR_DEVICE_REMOVED
            | ck::CKR_TOKEN_NOT_PRESENT
            | ck::CKR_TOKEN_NOT_RECOGNIZED
            | ck::CKR_CRYPTOKI_NOT_INITIALIZED
            | ck::CKR_SLOT_ID_INVALID
    )
}

const fn is_of_room(code: CK_RV) -> bool {
    matches!(code, ck::CKR_HOST_MEMORY | ck::CKR_DEVICE_MEMORY | ck::CKR_SESSION_COUNT)
}

const fn is_of_the_wrap(code: CK_RV) -> bool {
    matches!(
        code,
        ck::CKR_ENCRYPTED_DATA_INVALID
            | ck::CKR_ENCRYPTED_DATA_LEN_RANGE
            | ck::CKR_WRAPPED_KEY_INVALID
            | ck::CKR_WRAPPED_KEY_LEN_RANGE
            | ck::CKR_DATA_INVALID
            | ck::CKR_DATA_LEN_RANGE
            | ck::CKR_AEAD_DECRYPT_FAILED
    )
}

const fn is_of_the_setup(code: CK_RV) -> bool {
    matches!(
        code,
        ck::CKR_MECHANISM_INVALID
            | ck::CKR_MECHANISM_PARAM_INVALID
            | ck::CKR_ARGUMENTS_BAD
            | ck::CKR_KEY_FUNCTION_NOT_PERMITTED
            | ck::CKR_KEY_TYPE_INCONSISTENT
            | ck::CKR_KEY_SIZE_RANGE
            | ck::CKR_WRAPPING_KEY_TYPE_INCONSISTENT
            | ck::CKR_WRAPPING_KEY_SIZE_RANGE
            | ck::CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT
            | ck::CKR_UNWRAPPING_KEY_SIZE_RANGE
            | ck::CKR_FUNCTION_NOT_SUPPORTED
            | ck::CKR_SESSION_READ_ONLY
            | ck::CKR_TOKEN_WRITE_PROTECTED
    )
}

/// Answers to a login after which the same PIN must not be tried again.
pub(super) const fn is_about_the_pin(code: CK_RV) -> bool {
    matches!(
        code,
        ck::CKR_PIN_INCORRECT
            | ck::CKR_PIN_INVALID
            | ck::CKR_PIN_LEN_RANGE
            | ck::CKR_PIN_EXPIRED
            | ck::CKR_PIN_LOCKED
            | ck::CKR_USER_PIN_NOT_INITIALIZED
    )
}

/// The code of an answer that cannot be understood; no module gives it.
pub(super) const SENSELESS: CK_RV = CK_RV::MAX;

macro_rules! codes {
    ($($constant:ident $(= $variant:ident)?,)*) => {
        &[$((ck::$constant, stringify!($constant), codes!(@ $($variant)?))),*]
    };
    (@ $variant:ident) => { Some(RvError::$variant) };
    (@) => { None };
}

/// Code, name, and what `cryptoki` calls it.
static CODES: &[(CK_RV, &str, Option<RvError>)] = codes![
    CKR_CANCEL = Cancel,
    CKR_HOST_MEMORY = HostMemory,
    CKR_SLOT_ID_INVALID = SlotIdInvalid,
    CKR_GENERAL_ERROR = GeneralError,
    CKR_FUNCTION_FAILED = FunctionFailed,
    CKR_ARGUMENTS_BAD = ArgumentsBad,
    CKR_NEED_TO_CREATE_THREADS = NeedToCreateThreads,
    CKR_CANT_LOCK = CantLock,
    CKR_ATTRIBUTE_READ_ONLY = AttributeReadOnly,
    CKR_ATTRIBUTE_SENSITIVE = AttributeSensitive,
    CKR_ATTRIBUTE_TYPE_INVALID = AttributeTypeInvalid,
    CKR_ATTRIBUTE_VALUE_INVALID = AttributeValueInvalid,
    CKR_ACTION_PROHIBITED = ActionProhibited,
    CKR_DATA_INVALID = DataInvalid,
    CKR_DATA_LEN_RANGE = DataLenRange,
    CKR_DEVICE_ERROR = DeviceError,
    CKR_DEVICE_MEMORY = DeviceMemory,
    CKR_DEVICE_REMOVED = DeviceRemoved,
    CKR_ENCRYPTED_DATA_INVALID = EncryptedDataInvalid,
    CKR_ENCRYPTED_DATA_LEN_RANGE = EncryptedDataLenRange,
    CKR_AEAD_DECRYPT_FAILED,
    CKR_FUNCTION_CANCELED = FunctionCanceled,
    CKR_FUNCTION_NOT_SUPPORTED = FunctionNotSupported,
    CKR_KEY_HANDLE_INVALID = KeyHandleInvalid,
    CKR_KEY_SIZE_RANGE = KeySizeRange,
    CKR_KEY_TYPE_INCONSISTENT = KeyTypeInconsistent,
    CKR_KEY_NOT_NEEDED = KeyNotNeeded,
    CKR_KEY_CHANGED = KeyChanged,
    CKR_KEY_NEEDED = KeyNeeded,
    CKR_KEY_FUNCTION_NOT_PERMITTED = KeyFunctionNotPermitted,
    CKR_KEY_NOT_WRAPPABLE = KeyNotWrappable,
    CKR_KEY_UNEXTRACTABLE = KeyUnextractable,
    CKR_MECHANISM_INVALID = MechanismInvalid,
    CKR_MECHANISM_PARAM_INVALID = MechanismParamInvalid,
    CKR_OBJECT_HANDLE_INVALID = ObjectHandleInvalid,
    CKR_OPERATION_ACTIVE = OperationActive,
    CKR_OPERATION_NOT_INITIALIZED = OperationNotInitialized,
    CKR_PIN_INCORRECT = PinIncorrect,
    CKR_PIN_INVALID = PinInvalid,
    CKR_PIN_LEN_RANGE = PinLenRange,
    CKR_PIN_EXPIRED = PinExpired,
    CKR_PIN_LOCKED = PinLocked,
    CKR_SESSION_CLOSED = SessionClosed,
    CKR_SESSION_COUNT = SessionCount,
    CKR_SESSION_HANDLE_INVALID = SessionHandleInvalid,
    CKR_SESSION_READ_ONLY = SessionReadOnly,
    CKR_SESSION_EXISTS = SessionExists,
    CKR_SESSION_READ_ONLY_EXISTS = SessionReadOnlyExists,
    CKR_SESSION_READ_WRITE_SO_EXISTS = SessionReadWriteSoExists,
    CKR_TEMPLATE_INCOMPLETE = TemplateIncomplete,
    CKR_TEMPLATE_INCONSISTENT = TemplateInconsistent,
    CKR_TOKEN_NOT_PRESENT = TokenNotPresent,
    CKR_TOKEN_NOT_RECOGNIZED = TokenNotRecognized,
    CKR_TOKEN_WRITE_PROTECTED = TokenWriteProtected,
    CKR_UNWRAPPING_KEY_HANDLE_INVALID = UnwrappingKeyHandleInvalid,
    CKR_UNWRAPPING_KEY_SIZE_RANGE = UnwrappingKeySizeRange,
    CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT = UnwrappingKeyTypeInconsistent,
    CKR_USER_ALREADY_LOGGED_IN = UserAlreadyLoggedIn,
    CKR_USER_NOT_LOGGED_IN = UserNotLoggedIn,
    CKR_USER_PIN_NOT_INITIALIZED = UserPinNotInitialized,
    CKR_USER_TYPE_INVALID = UserTypeInvalid,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN = UserAnotherAlreadyLoggedIn,
    CKR_USER_TOO_MANY_TYPES = UserTooManyTypes,
    CKR_WRAPPED_KEY_INVALID = WrappedKeyInvalid,
    CKR_WRAPPED_KEY_LEN_RANGE = WrappedKeyLenRange,
    CKR_WRAPPING_KEY_HANDLE_INVALID = WrappingKeyHandleInvalid,
    CKR_WRAPPING_KEY_SIZE_RANGE = WrappingKeySizeRange,
    CKR_WRAPPING_KEY_TYPE_INCONSISTENT = WrappingKeyTypeInconsistent,
    CKR_RANDOM_NO_RNG = RandomNoRng,
    CKR_BUFFER_TOO_SMALL = BufferTooSmall,
    CKR_CRYPTOKI_NOT_INITIALIZED = CryptokiNotInitialized,
    CKR_CRYPTOKI_ALREADY_INITIALIZED = CryptokiAlreadyInitialized,
    CKR_FUNCTION_REJECTED = FunctionRejected,
];

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;
    use cryptoki::error::Rv;

    use super::*;

    #[test]
    fn codes_survive_the_way_through_cryptoki() {
        for (code, name, variant) in CODES {
            assert_eq!(super::name(*code), Some(*name));
            let Err(error) = Rv::from(*code).into_result(Function::Login) else {
                panic!("{name} is a success")
            };
            assert_eq!(Fault::of(&error, "C_Login"), Fault::code(*code, "C_Login"), "{name} {variant:?}");
        }
        for code in [0x8000_0001, ck::CKR_VENDOR_DEFINED, 0x7fff_fff0] {
            let error = Rv::from(code).into_result(Function::Login).unwrap_err();
            assert_eq!(Fault::of(&error, "C_Login").code, code);
        }
        assert_eq!(Fault::of(&Error::InvalidValue, "C_Login").code, SENSELESS);
        assert_eq!(Fault::of(&Error::NullFunctionPointer, "C_X"), Fault::missing("C_X"));
    }

    #[test]
    fn a_code_means_the_same_step_whatever_the_call_but_for_unwraps() {
        for (code, name, _) in CODES {
            let (unwrap, other) = (step(*code, Purpose::Unwrap), step(*code, Purpose::Other));
            match (unwrap, other) {
                (Step::Canary, Step::Reconnect) | (Step::Fail(Kind::Rejected), Step::Fail(Kind::Other)) => {}
                _ => assert_eq!(unwrap, other, "{name}"),
            }
            for purpose in [Purpose::Verify, Purpose::Other] {
                assert_ne!(kind(*code, purpose), Kind::Rejected, "{name}: nobody gave us a wrap");
            }
        }
    }

    #[test]
    fn what_is_about_the_pin_is_never_tried_again() {
        let pin: Vec<_> = CODES.iter().filter(|(code, ..)| is_about_the_pin(*code)).collect();
        assert_eq!(pin.len(), 6);
        for (code, name, _) in pin {
            assert_eq!(step(*code, Purpose::Other), Step::Fail(Kind::Credentials), "{name}");
        }
    }
}
