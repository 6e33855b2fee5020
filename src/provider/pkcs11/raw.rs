//! The calls of a PKCS#11 module that no safe form does justice to, and the only unsafe code of this provider.
//!
//! One-shot encryption and decryption into buffers of our own size, wrapping and unwrapping through an object, and the
//! module's raw list of mechanisms. It knows handles and bytes; which of them belong together is the worker's business.
//! Section "Keys in a hardware security module" of the [operations manual](crate::manual::operations).

#![allow(unsafe_code, reason = "a PKCS#11 module is a C library; every block says what makes its call sound")]

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem::size_of;
use std::path::Path;
use std::ptr::{self, NonNull};

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki_sys as ck;
use cryptoki_sys::{CK_ATTRIBUTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_RV, CK_ULONG};

use super::codes::Fault;

/// A module's list of functions. The library behind it stays loaded for the life of the process.
#[derive(Clone, Copy)]
pub(super) struct Calls {
    list: &'static CK_FUNCTION_LIST,
}

/// A session and a key in it, as the module numbers them. Valid in one generation of one module only.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) session: ck::CK_SESSION_HANDLE,
    pub(super) key: ck::CK_OBJECT_HANDLE,
}

/// A mechanism with its parameters, which live as long as the call.
pub(super) enum Mechanism<'p> {
    /// No parameters.
    Plain(ck::CK_MECHANISM_TYPE),
    /// AES-GCM with a tag of 128 bits and no associated data. The module may write the IV that it chose.
    Gcm { number: ck::CK_MECHANISM_TYPE, iv: &'p mut [u8] },
    /// RSA-OAEP with an empty label; the hash and the mask function by their PKCS#11 numbers.
    Oaep { number: ck::CK_MECHANISM_TYPE, hash: ck::CK_MECHANISM_TYPE, mgf: ck::CK_RSA_PKCS_MGF_TYPE },
}

impl Calls {
    /// Loads the module in this file, if it is one.
    ///
    /// Loading runs the library's own initialisers. The path is what the configuration names: whoever writes that
    /// decides what runs in this process.
    pub(super) fn load(path: &Path) -> Result<Self, &'static str> {
        // SAFETY: whatever the file's initialisers do is by the configuration's decision, see above; the file is
        // trusted to be what it says it is.
        let library = unsafe { ck::Pkcs11::new(path) }.map_err(|_| "it cannot be loaded as a library")?;
        // Never unloaded: sessions, and threads of the module's own, may outlive whoever asked for it.
        let library: &'static ck::Pkcs11 = Box::leak(Box::new(library));
        let get = *library.C_GetFunctionList.as_ref().map_err(|_| "it is no PKCS#11 module")?;
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: `get` is the module's C_GetFunctionList, and `list` is a valid place for its answer.
        let answer = unsafe { get(&mut list) };
        if answer != ck::CKR_OK || !list.is_aligned() {
            return Err("it gives no list of its functions");
        }
        // SAFETY: the standard has the list stand in the module's memory for as long as the module is loaded, which
        // is for ever; it is not written to. Null was an answer, too, and becomes `None`.
        let list: Option<&'static CK_FUNCTION_LIST> = unsafe { list.as_ref() };
        list.map(|list| Self { list }).ok_or("it gives no list of its functions")
    }

    /// Every mechanism of a slot, by number: those that no library has a name for, too.
    pub(super) fn mechanisms(&self, slot: ck::CK_SLOT_ID) -> Result<Vec<ck::CK_MECHANISM_TYPE>, Fault> {
        let call = self.list.C_GetMechanismList.ok_or(Fault::missing(LIST))?;
        let mut count: CK_ULONG = 0;
        // SAFETY: a null list asks for the count only.
        check(unsafe { call(slot, ptr::null_mut(), &mut count) }, LIST)?;
        let mut numbers = vec![0; usize_of(count).min(MAX_MECHANISMS)];
        let mut count = ulong(numbers.len());
        // SAFETY: `numbers` has room for `count` of them, and both live until the call is over.
        check(unsafe { call(slot, numbers.as_mut_ptr(), &mut count) }, LIST)?;
        numbers.truncate(usize_of(count));
        Ok(numbers)
    }

    /// What a mechanism can be used for (`CKF_ENCRYPT` and so on).
    pub(super) fn mechanism_flags(
        &self,
        slot: ck::CK_SLOT_ID,
        number: ck::CK_MECHANISM_TYPE,
    ) -> Result<ck::CK_FLAGS, Fault> {
        const NAME: &str = "C_GetMechanismInfo";
        let call = self.list.C_GetMechanismInfo.ok_or(Fault::missing(NAME))?;
        let mut info = ck::CK_MECHANISM_INFO::default();
        // SAFETY: `info` is a valid place for the answer.
        check(unsafe { call(slot, number, &mut info) }, NAME)?;
        Ok(info.flags)
    }

    /// Encrypts `input` into the front of `output`, and says how many bytes that were.
    pub(super) fn encrypt(
        &self,
        on: Target,
        mechanism: Mechanism<'_>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, Fault> {
        const NAMES: [&str; 2] = ["C_EncryptInit", "C_Encrypt"];
        let init = self.list.C_EncryptInit.ok_or(Fault::missing(NAMES[0]))?;
        let call = self.list.C_Encrypt.ok_or(Fault::missing(NAMES[1]))?;
        in_two_calls((init, call), NAMES, on, mechanism, input, output)
    }

    /// Decrypts `input` into the front of `output`, and says how many bytes that were.
    pub(super) fn decrypt(
        &self,
        on: Target,
        mechanism: Mechanism<'_>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, Fault> {
        const NAMES: [&str; 2] = ["C_DecryptInit", "C_Decrypt"];
        let init = self.list.C_DecryptInit.ok_or(Fault::missing(NAMES[0]))?;
        let call = self.list.C_Decrypt.ok_or(Fault::missing(NAMES[1]))?;
        in_two_calls((init, call), NAMES, on, mechanism, input, output)
    }

    /// Puts `value` into the session as a secret that the module will give back when it is wrapped: it can be taken
    /// out, is not kept, and is gone when the session ends.
    pub(super) fn create_secret(
        &self,
        session: ck::CK_SESSION_HANDLE,
        value: &[u8],
    ) -> Result<ck::CK_OBJECT_HANDLE, Fault> {
        const NAME: &str = "C_CreateObject";
        let call = self.list.C_CreateObject.ok_or(Fault::missing(NAME))?;
        let mut template = Template::of_a_data_key();
        template.push(ck::CKA_VALUE, value);
        let mut made = 0;
        // SAFETY: the template's attributes point to bytes that live until the call is over and are only read.
        let answer = unsafe { call(session, template.0.as_mut_ptr(), template.len(), &mut made) };
        check(answer, NAME)?;
        Ok(made)
    }

    /// Wraps an object under the key into the front of `output`.
    pub(super) fn wrap(
        &self,
        on: Target,
        number: ck::CK_MECHANISM_TYPE,
        object: ck::CK_OBJECT_HANDLE,
        output: &mut [u8],
    ) -> Result<usize, Fault> {
        const NAME: &str = "C_WrapKey";
        let call = self.list.C_WrapKey.ok_or(Fault::missing(NAME))?;
        Mechanism::Plain(number).with(|mechanism| {
            let mut written = ulong(output.len());
            // SAFETY: `mechanism` lives until `with` returns; `output` has room for `written` bytes.
            let answer =
                unsafe { call(on.session, mechanism, on.key, object, output.as_mut_ptr(), &mut written) };
            check(answer, NAME)?;
            within(written, output.len(), NAME)
        })
    }

    /// Unwraps into a new session object, whose value can be read. `names_length` for modules that insist on it.
    pub(super) fn unwrap(
        &self,
        on: Target,
        number: ck::CK_MECHANISM_TYPE,
        input: &[u8],
        names_length: bool,
    ) -> Result<ck::CK_OBJECT_HANDLE, Fault> {
        const NAME: &str = "C_UnwrapKey";
        let call = self.list.C_UnwrapKey.ok_or(Fault::missing(NAME))?;
        let mut template = Template::of_a_data_key();
        if names_length {
            template.push_value(ck::CKA_VALUE_LEN, &DATA_KEY_LEN);
        }
        Mechanism::Plain(number).with(|mechanism| {
            let mut made = 0;
            // SAFETY: `mechanism`, `input` and what the template points to live until the call is over, and the
            // module only reads them in spite of their types.
            let answer = unsafe {
                call(
                    on.session,
                    mechanism,
                    on.key,
                    input.as_ptr().cast_mut(),
                    ulong(input.len()),
                    template.0.as_mut_ptr(),
                    template.len(),
                    &mut made,
                )
            };
            check(answer, NAME)?;
            Ok(made)
        })
    }

    /// Reads an object's value into the front of `output`, and says how long it is.
    pub(super) fn value(
        &self,
        session: ck::CK_SESSION_HANDLE,
        object: ck::CK_OBJECT_HANDLE,
        output: &mut [u8],
    ) -> Result<usize, Fault> {
        const NAME: &str = "C_GetAttributeValue";
        let call = self.list.C_GetAttributeValue.ok_or(Fault::missing(NAME))?;
        let mut wanted = CK_ATTRIBUTE {
            type_: ck::CKA_VALUE,
            pValue: output.as_mut_ptr().cast(),
            ulValueLen: ulong(output.len()),
        };
        // SAFETY: the one attribute has room for as many bytes as it says, and both live until the call is over.
        check(unsafe { call(session, object, &mut wanted, 1) }, NAME)?;
        within(wanted.ulValueLen, output.len(), NAME)
    }

    /// Takes an object out of the session.
    pub(super) fn destroy(
        &self,
        session: ck::CK_SESSION_HANDLE,
        object: ck::CK_OBJECT_HANDLE,
    ) -> Result<(), Fault> {
        const NAME: &str = "C_DestroyObject";
        let call = self.list.C_DestroyObject.ok_or(Fault::missing(NAME))?;
        // SAFETY: takes two numbers; one that is not valid is an error of the module's.
        check(unsafe { call(session, object) }, NAME)
    }

    /// Fills `output` with the token's own random bytes.
    pub(super) fn random(&self, session: ck::CK_SESSION_HANDLE, output: &mut [u8]) -> Result<(), Fault> {
        const NAME: &str = "C_GenerateRandom";
        let call = self.list.C_GenerateRandom.ok_or(Fault::missing(NAME))?;
        // SAFETY: `output` has room for as many bytes as is said, and lives until the call is over.
        check(unsafe { call(session, output.as_mut_ptr(), ulong(output.len())) }, NAME)
    }

    /// Finalises the module: every session and handle of this process is void.
    ///
    /// Not by `cryptoki`, whose call consumes one of its clones and leaves the rest.
    pub(super) fn finalize(&self) -> Result<(), Fault> {
        const NAME: &str = "C_Finalize";
        let call = self.list.C_Finalize.ok_or(Fault::missing(NAME))?;
        // SAFETY: the reserved argument is null, as the standard has it. That no other call is under way is the
        // caller's care; a call that comes later is answered with an error.
        check(unsafe { call(ptr::null_mut()) }, NAME)
    }
}

/// What the calls have in common that begin to encrypt, or to decrypt.
// SAFETY: a type, by which nothing is called yet.
type Init = unsafe extern "C" fn(ck::CK_SESSION_HANDLE, *mut CK_MECHANISM, ck::CK_OBJECT_HANDLE) -> CK_RV;
/// What the calls have in common that do it.
// SAFETY: a type, by which nothing is called yet.
type Crypt = unsafe extern "C" fn(ck::CK_SESSION_HANDLE, *mut u8, CK_ULONG, *mut u8, *mut CK_ULONG) -> CK_RV;

/// Begins with `mechanism` and goes over `input` at once, into the front of `output`; says how many bytes that were.
fn in_two_calls(
    (init, call): (Init, Crypt),
    names: [&'static str; 2],
    on: Target,
    mechanism: Mechanism<'_>,
    input: &[u8],
    output: &mut [u8],
) -> Result<usize, Fault> {
    mechanism.with(|mechanism| {
        // SAFETY: `init` is the module's own function of this name. `mechanism` and what it points to live until `with`
        // returns, which is after both calls.
        check(unsafe { init(on.session, mechanism, on.key) }, names[0])?;
        let mut written = ulong(output.len());
        // SAFETY: `call` is the module's own function of this name. `input` is only read in spite of its type, `output` has
        // room for `written` bytes, and all of them live until the call is over.
        let answer = unsafe {
            call(on.session, input.as_ptr().cast_mut(), ulong(input.len()), output.as_mut_ptr(), &mut written)
        };
        check(answer, names[1])?;
        within(written, output.len(), names[1])
    })
}

/// What the module is initialised with: its own locks, and a text of its vendor's where the configuration has one.
///
/// Modules keep the pointer, which is why the text has to live for ever.
pub(super) fn initialize_args(text: Option<&'static CStr>) -> CInitializeArgs {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let Some(text) = text else { return CInitializeArgs::new(flags) };
    // SAFETY: the pointer is to a text that ends in zero and is never freed nor changed, which is what the modules
    // that read this argument expect there.
    unsafe { CInitializeArgs::new_with_reserved(flags, NonNull::from(text).cast::<c_void>()) }
}

impl Mechanism<'_> {
    /// Has the C form of this for the length of one call.
    fn with<T>(self, call: impl FnOnce(*mut CK_MECHANISM) -> T) -> T {
        match self {
            Self::Plain(number) => {
                call(&mut CK_MECHANISM { mechanism: number, pParameter: ptr::null_mut(), ulParameterLen: 0 })
            }
            Self::Gcm { number, iv } => {
                let pointer = if iv.is_empty() { ptr::null_mut() } else { iv.as_mut_ptr() };
                let mut params = ck::CK_GCM_PARAMS {
                    pIv: pointer,
                    ulIvLen: ulong(iv.len()),
                    ulIvBits: ulong(iv.len() * 8),
                    pAAD: ptr::null_mut(),
                    ulAADLen: 0,
                    ulTagBits: 128,
                };
                call(&mut with_params(number, &mut params))
            }
            Self::Oaep { number, hash, mgf } => {
                let mut params = ck::CK_RSA_PKCS_OAEP_PARAMS {
                    hashAlg: hash,
                    mgf,
                    source: ck::CKZ_DATA_SPECIFIED,
                    pSourceData: ptr::null_mut(),
                    ulSourceDataLen: 0,
                };
                call(&mut with_params(number, &mut params))
            }
        }
    }
}

fn with_params<P>(number: ck::CK_MECHANISM_TYPE, params: &mut P) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: number,
        pParameter: ptr::from_mut(params).cast(),
        ulParameterLen: ulong(size_of::<P>()),
    }
}

/// Attributes of an object that is to be made. Points to its parts, which it borrows.
struct Template<'p>(Vec<CK_ATTRIBUTE>, PhantomData<&'p [u8]>);

impl<'p> Template<'p> {
    /// A generic secret of this session that may be taken out: what a data key is to a module while it is wrapped.
    fn of_a_data_key() -> Self {
        let mut template = Self(Vec::with_capacity(8), PhantomData);
        template.push_value(ck::CKA_CLASS, &ck::CKO_SECRET_KEY);
        template.push_value(ck::CKA_KEY_TYPE, &ck::CKK_GENERIC_SECRET);
        template.push_value(ck::CKA_TOKEN, &ck::CK_FALSE);
        template.push_value(ck::CKA_PRIVATE, &ck::CK_FALSE);
        template.push_value(ck::CKA_SENSITIVE, &ck::CK_FALSE);
        template.push_value(ck::CKA_EXTRACTABLE, &ck::CK_TRUE);
        template
    }

    fn push_value<T>(&mut self, type_: ck::CK_ATTRIBUTE_TYPE, value: &'static T) {
        let pointer = ptr::from_ref(value).cast_mut().cast();
        self.0.push(CK_ATTRIBUTE { type_, pValue: pointer, ulValueLen: ulong(size_of::<T>()) });
    }

    fn push(&mut self, type_: ck::CK_ATTRIBUTE_TYPE, bytes: &'p [u8]) {
        let pointer = bytes.as_ptr().cast_mut().cast();
        self.0.push(CK_ATTRIBUTE { type_, pValue: pointer, ulValueLen: ulong(bytes.len()) });
    }

    fn len(&self) -> CK_ULONG {
        ulong(self.0.len())
    }
}

fn check(answer: CK_RV, call: &'static str) -> Result<(), Fault> {
    if answer == ck::CKR_OK { Ok(()) } else { Err(Fault::code(answer, call)) }
}

/// A length that a module gave, if it is within the buffer that it was given.
fn within(written: CK_ULONG, room: usize, call: &'static str) -> Result<usize, Fault> {
    match usize::try_from(written) {
        Ok(written) if written <= room => Ok(written),
        _ => Err(Fault::code(ck::CKR_BUFFER_TOO_SMALL, call)),
    }
}

/// A length for C; ours are all short.
fn ulong(length: usize) -> CK_ULONG {
    CK_ULONG::try_from(length).expect("lengths here are below 2^32")
}

fn usize_of(length: CK_ULONG) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

const DATA_KEY_LEN: CK_ULONG = 32;
const LIST: &str = "C_GetMechanismList";
/// More than any token has, so that a wrong count is no reason to allocate.
const MAX_MECHANISMS: usize = 65_536;
