//! Where calls run, and for how long at most.
//!
//! The SDK needs tokio's timers and sockets. Within a multi-threaded tokio runtime a call runs in the caller's own
//! task; everywhere else on one thread that the provider starts at the first call. It must not know what a call does.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, process, thread};

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::task::{AbortHandle, JoinHandle};

use super::NAME;
use super::trip::Trip;
use crate::clock::Clock;
use crate::error::{ProviderError, ProviderErrorKind};

/// Runs calls, each under one deadline.
#[derive(Debug)]
pub(super) struct Calls {
    clock: Arc<dyn Clock>,
    deadline: Duration,
    own: Mutex<Option<OwnThread>>,
}

impl Calls {
    pub(super) fn new(clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        Self { clock, deadline, own: Mutex::new(None) }
    }

    /// What goes along with a call that begins now.
    pub(super) fn trip(&self) -> Trip {
        Trip::new(&self.clock)
    }

    /// The call's answer, or [`ProviderErrorKind::Timeout`] when the deadline has passed. Dropping it drops the call.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        region: &str,
        trip: &Trip,
        call: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let mut running = self.start(call)?;
        let mut late = self.clock.sleep(self.deadline);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = running.poll(cx) {
                return Poll::Ready(answer);
            }
            late.as_mut().poll(cx).map(|()| {
                Err(ProviderError::new(ProviderErrorKind::Timeout, NAME).with_source(trip.late(region)))
            })
        })
        .await
    }

    fn start<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<Running<T>, ProviderError> {
        match Handle::try_current() {
            // On a current-thread runtime, whoever waits without `await` would wait for what only it can drive.
            Ok(handle) if handle.runtime_flavor() != RuntimeFlavor::CurrentThread => {
                Ok(Running::Here(Box::pin(call)))
            }
            _ => Ok(Running::There(Spawned(self.own_thread()?.spawn(call)))),
        }
    }

    fn own_thread(&self) -> Result<Handle, ProviderError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.is_none() {
            *own =
                Some(OwnThread::start().map_err(|error| {
                    ProviderError::new(ProviderErrorKind::Other, NAME).with_source(error)
                })?);
        }
        match own.as_ref() {
            Some(own) if own.process == process::id() => Ok(own.handle.clone()),
            _ => Err(ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(
                "this process was forked from one in which the provider was used: build a new one after the fork",
            )),
        }
    }
}

/// A call that is under way.
enum Running<T> {
    Here(Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send>>),
    There(Spawned<T>),
}

impl<T> Running<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ProviderError>> {
        match self {
            Self::Here(call) => call.as_mut().poll(cx),
            Self::There(Spawned(call)) => Pin::new(call).poll(cx).map(|answer| match answer {
                Ok(answer) => answer,
                Err(gone) => match gone.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(gone) => {
                        Err(ProviderError::new(ProviderErrorKind::Unavailable, NAME).with_source(gone))
                    }
                },
            }),
        }
    }
}

/// A call on the provider's own thread, which ends there when it is dropped here.
struct Spawned<T>(JoinHandle<Result<T, ProviderError>>);

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A thread with a runtime, for programs that have none. Ends when the provider is dropped.
struct OwnThread {
    handle: Handle,
    keeps_running: AbortHandle,
    process: u32,
}

impl OwnThread {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let forever = handle.spawn(pending::<()>());
        let keeps_running = forever.abort_handle();
        thread::Builder::new().name("kuvert-aws-kms".into()).spawn(move || {
            // Ends by being aborted, and with it the runtime and every connection in it.
            drop(runtime.block_on(forever));
        })?;
        Ok(Self { handle, keeps_running, process: process::id() })
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        // In a forked child the runtime's locks may be held by a thread that does not exist there.
        if self.process == process::id() {
            self.keeps_running.abort();
        }
    }
}

impl fmt::Debug for OwnThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnThread").finish_non_exhaustive()
    }
}
