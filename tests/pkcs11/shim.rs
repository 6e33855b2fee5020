//! A SoftHSM of its own behind a module that does as it is told.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, thread};

use crate::stage::Stage;

/// A module that stands before a copy of SoftHSM. Several in one process know nothing of each other, except that all
/// see the same tokens.
pub(crate) struct Shim {
    path: PathBuf,
    library: Library,
}

/// A call, by its place in the list of functions.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(crate) enum Call {
    Initialize = 0,
    Finalize = 1,
    GetTokenInfo = 6,
    OpenSession = 12,
    Login = 18,
    CreateObject = 20,
    DestroyObject = 22,
    GetAttributeValue = 24,
    FindObjectsInit = 26,
    EncryptInit = 29,
    Encrypt = 30,
    DecryptInit = 33,
    Decrypt = 34,
    WrapKey = 60,
    UnwrapKey = 61,
    GenerateRandom = 64,
}

impl Shim {
    /// Loads one under this name.
    pub(crate) fn new(stage: &Stage, name: &str) -> Self {
        Self::over(stage, name, stage.module())
    }

    /// The same before a copy of another module.
    pub(crate) fn over(stage: &Stage, name: &str, module: &Path) -> Self {
        let copy = |from: &Path, what: &str| {
            let to = stage.folder().join(format!("{what}-{name}.so"));
            // Another file, so that it is loaded anew and has variables of its own.
            fs::copy(from, &to).unwrap();
            to
        };
        let real = copy(module, "softhsm");
        let path = copy(&Self::file(), "shim");
        let library = Library::open(&path);
        let real = CString::new(real.to_str().unwrap()).unwrap();
        let open: extern "C" fn(*const c_char) -> c_int = library.function(c"kuvert_shim_open");
        assert_eq!(open(real.as_ptr()), 0);
        Self { path, library }
    }

    /// The module behind it, as it is in this process: calls made there are not seen.
    pub(crate) fn behind(&self) -> PathBuf {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        self.path.with_file_name(name.replacen("shim", "softhsm", 1))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The call fails from now on.
    pub(crate) fn fail(&self, call: Call, code: u64) {
        self.rule(call, 0, code, 0, u64::MAX);
    }

    /// The call fails so many times.
    pub(crate) fn fail_times(&self, call: Call, code: u64, times: u64) {
        self.rule(call, 0, code, 0, times);
    }

    /// The call fails once, after so many that do not.
    pub(crate) fn fail_after(&self, call: Call, code: u64, skip: u64) {
        self.rule(call, 0, code, skip, 1);
    }

    /// The call takes so many milliseconds more from now on.
    pub(crate) fn slow(&self, call: Call, millis: u64) {
        self.rule(call, 1, millis, 0, u64::MAX);
    }

    /// The call does not come back until [`clear`](Self::clear).
    pub(crate) fn hang(&self, call: Call) {
        self.rule(call, 2, 0, 0, u64::MAX);
    }

    /// One such call does not come back until [`clear`](Self::clear).
    pub(crate) fn hang_once(&self, call: Call) {
        self.rule(call, 2, 0, 0, 1);
    }

    /// The call says that it wrote so much more.
    pub(crate) fn stretch(&self, call: Call, by: u64) {
        self.rule(call, 3, by, 0, u64::MAX);
    }

    /// The call writes a wrong bit.
    pub(crate) fn corrupt(&self, call: Call) {
        self.rule(call, 4, 0, 0, u64::MAX);
    }

    /// The variables by which the tool finds the shim before SoftHSM, with these rules: call, what it does, the
    /// value of that, calls before it, and how often.
    #[cfg(feature = "cli")]
    pub(crate) fn environment(
        stage: &Stage,
        rules: &[(Call, u64, u64, u64, u64)],
    ) -> [(&'static str, String); 2] {
        let rules = rules.iter().map(|(call, kind, value, skip, times)| {
            format!("{} {kind} {value} {skip} {times}", *call as usize)
        });
        [
            ("KUVERT_SHIM_REAL", stage.module().to_str().unwrap().to_owned()),
            ("KUVERT_SHIM_RULES", rules.collect::<Vec<_>>().join(" ")),
        ]
    }

    /// The file of the shim itself, for such a program.
    pub(crate) fn file() -> PathBuf {
        env::var_os("KUVERT_TEST_SHIM").unwrap().into()
    }

    /// The call writes so many bytes behind the room that it was given.
    pub(crate) fn overrun(&self, call: Call, by: u64) {
        self.rule(call, 5, by, 0, u64::MAX);
    }

    fn rule(&self, call: Call, kind: c_int, value: u64, skip: u64, times: u64) {
        let rule: extern "C" fn(usize, c_int, u64, u64, u64) = self.library.function(c"kuvert_shim_rule");
        rule(call as usize, kind, value, skip, times);
    }

    /// No more faults.
    pub(crate) fn clear(&self) {
        let clear: extern "C" fn() = self.library.function(c"kuvert_shim_clear");
        clear();
    }

    /// So many calls of a thousand fail, each in some way or other.
    pub(crate) fn random(&self, permille: u64, seed: u64) {
        let random: extern "C" fn(u64, u64) = self.library.function(c"kuvert_shim_random");
        random(permille, seed);
    }

    /// Chooses the IV of AES-GCM itself: 1 writes it over zeros, 12 and 16 append as many bytes.
    pub(crate) fn choose_iv(&self, mode: usize) {
        let iv: extern "C" fn(usize) = self.library.function(c"kuvert_shim_iv");
        iv(mode);
    }

    /// Does not list this mechanism.
    pub(crate) fn hide(&self, mechanism: usize) {
        let hide: extern "C" fn(usize) = self.library.function(c"kuvert_shim_hide");
        hide(mechanism);
    }

    /// Every token has these flags, too.
    pub(crate) fn flags(&self, flags: usize) {
        let set: extern "C" fn(usize) = self.library.function(c"kuvert_shim_flags");
        set(flags);
    }

    /// How often it was called so.
    pub(crate) fn count(&self, call: Call) -> u64 {
        let count: extern "C" fn(usize) -> u64 = self.library.function(c"kuvert_shim_count");
        count(call as usize)
    }

    /// How often somebody loaded it.
    pub(crate) fn loads(&self) -> u64 {
        let loads: extern "C" fn() -> u64 = self.library.function(c"kuvert_shim_loads");
        loads()
    }

    /// How many calls hang.
    pub(crate) fn hung(&self) -> u64 {
        let hung: extern "C" fn() -> u64 = self.library.function(c"kuvert_shim_hung");
        hung()
    }

    /// Waits until nobody who hung is in it any more: SoftHSM does not survive the end of a process during a call.
    pub(crate) fn settle(&self) {
        while self.hung() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(300));
    }

    /// How often a handle was used in another generation than its own.
    pub(crate) fn stale(&self) -> u64 {
        let stale: extern "C" fn() -> u64 = self.library.function(c"kuvert_shim_stale");
        stale()
    }
}

/// A loaded library, which stays loaded.
#[derive(Clone, Copy)]
struct Library(*mut c_void);

// SAFETY: a number by which the system knows the library, for any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    fn open(path: &Path) -> Self {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a path that ends in zero; the library is our own.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null());
        Self(library)
    }

    /// A function of this name, whose type is that of the shim's source.
    fn function<F: Copy>(self, name: &CStr) -> F {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the library is never unloaded, and the name ends in zero.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        // SAFETY: a pointer to a function, as wide as one; its type is the caller's word, in one file with the callers.
        unsafe { std::mem::transmute_copy(&found) }
    }
}
