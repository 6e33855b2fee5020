//! The adapters of both kinds behind one face, so that a test body is written once.

use std::io::{self, BufRead, Read, Write};

use kuvert::io::{OpenReader, OpenReport, ParallelOpenReader, ParallelSealWriter, SealReport, SealWriter};
use kuvert::{EncryptionContext, Kuvert, MessageStart, OpenError, SealError, Sealer};

#[cfg(feature = "tokio")]
use super::async_io::{Blocking, Slow};
use super::cancel::wait;
use super::ways::several_threads;

/// Which kind of adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Std,
    /// On several threads, which are at work from the first chunk on.
    StdParallel,
    /// Tokio's traits, over inner readers and writers that are `Pending` once before each call.
    #[cfg(feature = "tokio")]
    Tokio,
    /// The same, ended by shutting it down.
    #[cfg(feature = "tokio")]
    TokioShutDown,
    /// On several threads.
    #[cfg(feature = "tokio")]
    TokioParallel,
}

impl Side {
    /// Those that seal.
    #[cfg(feature = "tokio")]
    pub const SEALING: &'static [Self] =
        &[Self::Std, Self::StdParallel, Self::Tokio, Self::TokioShutDown, Self::TokioParallel];
    /// Those that open.
    #[cfg(feature = "tokio")]
    pub const OPENING: &'static [Self] = &[Self::Std, Self::StdParallel, Self::Tokio, Self::TokioParallel];
    /// Those that seal.
    #[cfg(not(feature = "tokio"))]
    pub const SEALING: &'static [Self] = &[Self::Std, Self::StdParallel];
    /// Those that open.
    #[cfg(not(feature = "tokio"))]
    pub const OPENING: &'static [Self] = &[Self::Std, Self::StdParallel];

    /// A writer that seals into `inner`.
    pub fn writer<'a, W: Write + Unpin + 'a>(self, sealer: Sealer, inner: W) -> Box<dyn Seals<W> + 'a> {
        match self {
            Self::Std => Box::new(sealer.into_writer(inner)),
            Self::StdParallel => Box::new(sealer.into_parallel_writer(inner, several_threads())),
            #[cfg(feature = "tokio")]
            Self::TokioParallel => {
                Box::new(Blocking(sealer.into_parallel_async_writer(Slow::new(inner, 1), several_threads())))
            }
            #[cfg(feature = "tokio")]
            Self::Tokio => Box::new(Blocking(sealer.into_async_writer(Slow::new(inner, 1)))),
            #[cfg(feature = "tokio")]
            Self::TokioShutDown => {
                Box::new(ShutDown(Blocking(sealer.into_async_writer(Slow::new(inner, 1)))))
            }
        }
    }

    /// A reader that opens the message of `source`.
    pub fn reader<'a, R: Read + Unpin + 'a>(
        self,
        kuvert: &Kuvert,
        mut source: R,
        context: &EncryptionContext,
    ) -> Result<Box<dyn Opens + 'a>, OpenError> {
        match self {
            Self::Std => {
                let start = MessageStart::read(&mut source)?;
                Ok(Box::new(wait(kuvert.opener(start, context))?.into_reader(source)))
            }
            Self::StdParallel => {
                let start = MessageStart::read(&mut source)?;
                let opener = wait(kuvert.opener(start, context))?;
                Ok(Box::new(opener.into_parallel_reader(source, several_threads())))
            }
            #[cfg(feature = "tokio")]
            Self::TokioParallel => {
                let mut source = Slow::new(source, 1);
                let start = wait(MessageStart::read_async(&mut source))?;
                let opener = wait(kuvert.opener(start, context))?;
                Ok(Box::new(Blocking(opener.into_parallel_async_reader(source, several_threads()))))
            }
            #[cfg(feature = "tokio")]
            Self::Tokio | Self::TokioShutDown => {
                let mut source = Slow::new(source, 1);
                let start = wait(MessageStart::read_async(&mut source))?;
                Ok(Box::new(Blocking(wait(kuvert.opener(start, context))?.into_async_reader(source))))
            }
        }
    }
}

/// What seals.
pub trait Seals<W>: Write {
    fn plaintext_len(&self) -> u64;
    /// Takes all that the reader has; tries again what was interrupted.
    fn take_from(&mut self, reader: &mut dyn Read) -> io::Result<u64>;
    /// Ends the message. May be called again.
    fn end(&mut self) -> Result<SealReport, SealError>;
    /// Gives the inner writer back, whatever is in it.
    fn give_back(self: Box<Self>) -> W;
}

impl<W: Write> Seals<W> for ParallelSealWriter<W> {
    fn plaintext_len(&self) -> u64 {
        Self::plaintext_len(self)
    }

    fn take_from(&mut self, reader: &mut dyn Read) -> io::Result<u64> {
        self.copy_from(reader)
    }

    fn end(&mut self) -> Result<SealReport, SealError> {
        self.try_finish()
    }

    fn give_back(self: Box<Self>) -> W {
        self.abort()
    }
}

impl<W: Write> Seals<W> for SealWriter<W> {
    fn plaintext_len(&self) -> u64 {
        Self::plaintext_len(self)
    }

    fn take_from(&mut self, reader: &mut dyn Read) -> io::Result<u64> {
        self.copy_from(reader)
    }

    fn end(&mut self) -> Result<SealReport, SealError> {
        self.try_finish()
    }

    fn give_back(self: Box<Self>) -> W {
        self.abort()
    }
}

/// What opens in order.
pub trait Opens: BufRead {
    fn copy_all(&mut self, sink: &mut dyn Write) -> io::Result<u64>;
    fn report(&self) -> OpenReport;
    fn is_complete(&self) -> bool;
}

impl<R: Read> Opens for ParallelOpenReader<R> {
    fn copy_all(&mut self, sink: &mut dyn Write) -> io::Result<u64> {
        self.copy_to(sink)
    }

    fn report(&self) -> OpenReport {
        Self::report(self)
    }

    fn is_complete(&self) -> bool {
        Self::is_complete(self)
    }
}

impl<R: Read> Opens for OpenReader<R> {
    fn copy_all(&mut self, sink: &mut dyn Write) -> io::Result<u64> {
        self.copy_to(sink)
    }

    fn report(&self) -> OpenReport {
        Self::report(self)
    }

    fn is_complete(&self) -> bool {
        Self::is_complete(self)
    }
}

#[cfg(feature = "tokio")]
mod tokio_side {
    use std::future::poll_fn;
    use std::pin::Pin;

    use kuvert::io::{AsyncOpenReader, AsyncSealWriter};
    use tokio::io::AsyncWrite;

    use super::*;

    type Sealing<W> = Blocking<AsyncSealWriter<Slow<W>>>;

    impl<W: Write + Unpin> Seals<W> for Sealing<W> {
        fn plaintext_len(&self) -> u64 {
            self.0.plaintext_len()
        }

        /// There is no such call; what a caller can do is to keep what was not taken, and go on with it.
        fn take_from(&mut self, reader: &mut dyn Read) -> io::Result<u64> {
            take_piece_by_piece(self, reader)
        }

        fn end(&mut self) -> Result<SealReport, SealError> {
            wait(self.0.try_finish())
        }

        fn give_back(self: Box<Self>) -> W {
            self.0.abort().into_inner()
        }
    }

    /// A writer that is ended by shutting it down.
    pub struct ShutDown<W>(pub Sealing<W>);

    impl<W: Write + Unpin> Write for ShutDown<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl<W: Write + Unpin> Seals<W> for ShutDown<W> {
        fn plaintext_len(&self) -> u64 {
            self.0.plaintext_len()
        }

        fn take_from(&mut self, reader: &mut dyn Read) -> io::Result<u64> {
            take_piece_by_piece(&mut self.0, reader)
        }

        /// And flushed before and after; the inner writer would panic if it were touched then.
        fn end(&mut self) -> Result<SealReport, SealError> {
            let writer = &mut self.0.0;
            wait(poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx)))?;
            for _ in 0..2 {
                wait(poll_fn(|cx| Pin::new(&mut *writer).poll_shutdown(cx)))?;
                wait(poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx)))?;
            }
            assert!(writer.inner().is_shut_down());
            wait(writer.try_finish())
        }

        fn give_back(self: Box<Self>) -> W {
            self.0.0.abort().into_inner()
        }
    }

    /// Reads one piece and writes all of it before the next.
    fn take_piece_by_piece(writer: &mut dyn Write, reader: &mut dyn Read) -> io::Result<u64> {
        let mut piece = vec![0; 40_000];
        let mut total = 0;
        loop {
            let read = match reader.read(&mut piece) {
                Ok(0) => return Ok(total),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            writer.write_all(&piece[..read])?;
            total += read as u64;
        }
    }

    impl<R: Unpin> Opens for Blocking<AsyncOpenReader<R>>
    where
        R: tokio::io::AsyncRead,
    {
        fn copy_all(&mut self, sink: &mut dyn Write) -> io::Result<u64> {
            wait(self.0.copy_to(&mut Slow::new(sink, 1)))
        }

        fn report(&self) -> OpenReport {
            self.0.report()
        }

        fn is_complete(&self) -> bool {
            self.0.is_complete()
        }
    }
}

#[cfg(feature = "tokio")]
use tokio_side::ShutDown;
