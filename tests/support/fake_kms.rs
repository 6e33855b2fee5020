//! A KMS that does as it is told: real HTTP on 127.0.0.1, real AES-GCM and RSA, and any fault on demand.
//!
//! Speaks the JSON protocol of AWS KMS as far as the provider does, one key store a region, the region being the one
//! that the request is signed for (signatures themselves are not checked). It counts calls. What it says about keys,
//! contexts and states follows the API reference; the study of real servers stands beside it in `tests/kms/servers.rs`.

// By path, so that an example can have this file in another place of its tree.
#[path = "fake_kms/faults.rs"]
pub mod faults;
#[path = "fake_kms/http.rs"]
mod http;
#[path = "fake_kms/keys.rs"]
mod keys;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

pub use self::faults::{Fault, Rule};
pub use self::keys::KeyState;

use self::http::{Request, Response};
use self::keys::{Key, Refusal, context_of};

/// A running fake. Stops when dropped.
pub struct FakeKms {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    keys: Mutex<HashMap<String, Key>>,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
    plaintexts: Mutex<Vec<Vec<u8>>>,
    withdrawn: Mutex<Vec<String>>,
    seconds_ahead: AtomicI64,
    connections: Mutex<Vec<TcpStream>>,
    open: AtomicUsize,
    knows_trials: AtomicBool,
    stopped: AtomicBool,
    requests: AtomicU64,
}

/// A call that was received, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub action: String,
    pub region: String,
    pub key_id: Option<String>,
    /// Names of the encryption context's pairs, in order.
    pub context: Vec<String>,
    pub dry_run: bool,
}

impl FakeKms {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            keys: Mutex::default(),
            rules: Mutex::default(),
            calls: Mutex::default(),
            plaintexts: Mutex::default(),
            withdrawn: Mutex::default(),
            seconds_ahead: AtomicI64::new(0),
            connections: Mutex::default(),
            open: AtomicUsize::new(0),
            knows_trials: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { shared, address }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A symmetric key, by its ARN.
    pub fn create_key(&self, region: &str) -> String {
        self.shared.create(region, &json!({}))
    }

    /// An RSA key for encryption, by its ARN.
    pub fn create_rsa_key(&self, region: &str, bits: u32) -> String {
        self.shared.create(region, &json!({ "KeySpec": format!("RSA_{bits}") }))
    }

    pub fn create_multi_region_key(&self, region: &str) -> String {
        self.shared.create(region, &json!({ "MultiRegion": true }))
    }

    /// The same key in another region.
    pub fn replicate(&self, arn: &str, region: &str) -> String {
        let mut keys = lock(&self.shared.keys);
        let replica = keys[arn].replica(region);
        let arn = replica.arn.clone();
        keys.insert(arn.clone(), replica);
        arn
    }

    /// A symmetric key of this very name, with material of its own.
    pub fn create_key_named(&self, arn: &str) {
        lock(&self.shared.keys).insert(arn.to_owned(), Key::symmetric(arn.to_owned()));
    }

    pub fn set_state(&self, arn: &str, state: KeyState) {
        lock(&self.shared.keys).get_mut(arn).expect("a key of this fake").state = state;
    }

    pub fn rotate(&self, arn: &str) {
        lock(&self.shared.keys).get_mut(arn).expect("a key of this fake").rotate();
    }

    pub fn delete(&self, arn: &str) {
        lock(&self.shared.keys).remove(arn).expect("a key of this fake");
    }

    /// What the key of this ARN wraps, whatever its length.
    pub fn wrap(&self, arn: &str, plaintext: &[u8], context: &[(&str, &str)]) -> Vec<u8> {
        let context = context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        lock(&self.shared.keys)[arn].encrypt(plaintext, &context)
    }

    pub fn public_key(&self, arn: &str) -> Vec<u8> {
        lock(&self.shared.keys)[arn].public_key().expect("an RSA key")
    }

    /// Adds a fault. Later ones come first.
    pub fn fault(&self, rule: impl Into<Rule>) {
        lock(&self.shared.rules).insert(0, rule.into());
    }

    pub fn mend(&self) {
        lock(&self.shared.rules).clear();
    }

    /// As servers that take `DryRun` for no more than a word.
    pub fn without_trials(self) -> Self {
        self.shared.knows_trials.store(false, Ordering::SeqCst);
        self
    }

    /// From now on requests that are signed with this access key are told that it has expired.
    pub fn withdraw_credentials(&self, access_key_id: &str) {
        lock(&self.shared.withdrawn).push(access_key_id.to_owned());
    }

    /// Sets the server's own clock ahead. As AWS does, it takes signatures of within five minutes.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.shared.seconds_ahead.store(seconds, Ordering::SeqCst);
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// Every plaintext that came in or went out, once, but for those of faults.
    pub fn plaintexts(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.plaintexts).clone()
    }

    /// Connections that the client has not closed.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The actions called since the last time.
    pub fn take_actions(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.calls)).into_iter().map(|call| call.action).collect()
    }
}

impl Drop for FakeKms {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        for connection in lock(&self.shared.connections).drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(connection) = connection else { continue };
            drop(connection.set_nodelay(true));
            lock(&self.connections).extend(connection.try_clone());
            let serving = Arc::clone(self);
            let name = thread::Builder::new().stack_size(256 * 1024);
            self.open.fetch_add(1, Ordering::SeqCst);
            let own = connection.try_clone().expect("a descriptor");
            let serve = move || {
                serving.serve(connection);
                // The copy that is kept for the end would hold it open.
                drop(own.shutdown(Shutdown::Both));
                serving.open.fetch_sub(1, Ordering::SeqCst);
            };
            name.spawn(serve).expect("a thread");
        }
    }

    fn serve(&self, connection: TcpStream) {
        let mut stream = http::Connection::new(connection);
        while let Some(request) = stream.read() {
            let fault = self.take_fault(&request);
            match faults::answer(fault.as_ref(), || self.answer(&request)) {
                faults::Answer::Send(mut response) => {
                    let number = self.requests.fetch_add(1, Ordering::SeqCst);
                    response.request_id = format!("fake-{number:04}");
                    response.date = self.now().fmt(Format::HttpDate).expect("a date of today");
                    if stream.write(&response).is_none() {
                        return;
                    }
                }
                faults::Answer::Half(response) => return stream.write_half(&response),
                faults::Answer::Close => return,
                faults::Answer::Nothing => return stream.wait_for_the_end(),
            }
        }
    }

    fn take_fault(&self, request: &Request) -> Option<Fault> {
        let text = |name: &str| request.body[name].as_str().map(str::to_owned);
        lock(&self.calls).push(Call {
            action: request.action.clone(),
            region: request.region.clone(),
            key_id: text("KeyId"),
            context: context_of(&request.body).into_keys().collect(),
            dry_run: request.body["DryRun"] == true,
        });
        let mut rules = lock(&self.rules);
        rules.iter_mut().find_map(|rule| rule.take(&request.action, &request.region))
    }

    fn create(&self, region: &str, body: &Value) -> String {
        let key = Key::create(region, body);
        let arn = key.arn.clone();
        lock(&self.keys).insert(arn.clone(), key);
        arn
    }

    fn keep_plaintext(&self, body: &Value) {
        let Some(plaintext) = from_base64(&body["Plaintext"]) else { return };
        let mut known = lock(&self.plaintexts);
        if !known.contains(&plaintext) {
            known.push(plaintext);
        }
    }

    fn now(&self) -> DateTime {
        let now = DateTime::from(SystemTime::now());
        DateTime::from_secs(now.secs() + self.seconds_ahead.load(Ordering::SeqCst))
    }

    fn answer(&self, request: &Request) -> Response {
        match self.check_signature(request).and_then(|()| self.act(request)) {
            Ok(body) => Response::ok(body),
            Err(refusal) => Response::error(400, refusal),
        }
    }

    fn check_signature(&self, request: &Request) -> Result<(), Refusal> {
        if lock(&self.withdrawn).contains(&request.signer) {
            return Err("ExpiredTokenException");
        }
        if (self.now().secs() - request.signed_at).abs() > 5 * 60 {
            return Err("InvalidSignatureException");
        }
        Ok(())
    }

    fn act(&self, request: &Request) -> Result<Value, Refusal> {
        if request.action == "CreateKey" {
            let arn = self.create(&request.region, &request.body);
            return Ok(json!({ "KeyMetadata": lock(&self.keys)[&arn].metadata() }));
        }
        let mut keys = lock(&self.keys);
        let id = request.body["KeyId"].as_str().ok_or("ValidationException")?;
        // A key of another region is none of this one's, whatever its name.
        let key = keys.get_mut(id).filter(|key| key.region() == request.region).ok_or("NotFoundException")?;
        match request.action.as_str() {
            "DescribeKey" => Ok(json!({ "KeyMetadata": key.metadata() })),
            "ScheduleKeyDeletion" => key.schedule_deletion(&request.body),
            "DisableKey" => key.change_state(KeyState::Disabled),
            "EnableKey" => key.change_state(KeyState::Enabled),
            "RotateKeyOnDemand" => {
                key.rotate();
                Ok(json!({ "KeyId": id }))
            }
            "GetPublicKey" => key.describe_public_key(),
            "Encrypt" | "Decrypt" | "GenerateDataKey" => {
                let answer = key.use_for(&request.action, &request.body)?;
                for body in [&request.body, &answer] {
                    self.keep_plaintext(body);
                }
                if request.body["DryRun"] == true && self.knows_trials.load(Ordering::SeqCst) {
                    return Err("DryRunOperationException");
                }
                Ok(answer)
            }
            _ => Err("UnknownOperationException"),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

fn from_base64(value: &Value) -> Option<Vec<u8>> {
    Base64::decode_vec(value.as_str()?).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
