//! What goes wrong, and when.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::base64;
use super::http::Response;

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The service refuses with this status and code.
    Refuse(u16, &'static str),
    /// Something before the service answers, without a code.
    Status(u16),
    /// The answer never comes.
    Silence,
    /// The answer comes late.
    Late(Duration),
    /// The connection ends in the middle of the answer.
    BreaksOff,
    /// The connection ends before the answer.
    Closes,
    /// The answer has this in place of its own.
    Replace(&'static str, Value),
}

impl Fault {
    /// Another plaintext, of any length.
    pub fn plaintext(bytes: &[u8]) -> Self {
        Self::Replace("Plaintext", json!(base64(bytes)))
    }

    pub fn throttle() -> Self {
        Self::Refuse(400, "ThrottlingException")
    }
}

/// When it goes wrong: every call, unless it is said which.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    action: Option<&'static str>,
    region: Option<String>,
    percent: u64,
    times: u64,
    seen: u64,
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        Self { fault, action: None, region: None, percent: 100, times: u64::MAX, seen: 0 }
    }
}

impl Rule {
    pub fn of(mut self, action: &'static str) -> Self {
        self.action = Some(action);
        self
    }

    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// So many of a hundred calls, evenly.
    pub fn percent(mut self, percent: u64) -> Self {
        self.percent = percent;
        self
    }

    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    pub(super) fn take(&mut self, action: &str, region: &str) -> Option<Fault> {
        let is_meant = self.action.is_none_or(|own| own == action)
            && self.region.as_deref().is_none_or(|own| own == region);
        if !is_meant || self.times == 0 {
            return None;
        }
        self.seen += 1;
        if self.seen * self.percent / 100 == (self.seen - 1) * self.percent / 100 {
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}

pub(super) enum Answer {
    Send(Response),
    Half(Response),
    Close,
    Nothing,
}

pub(super) fn answer(fault: Option<&Fault>, act: impl FnOnce() -> Response) -> Answer {
    Answer::Send(match fault {
        None => act(),
        Some(Fault::Refuse(status, code)) => Response::error(*status, code),
        Some(Fault::Status(status)) => Response::without_code(*status),
        Some(Fault::Silence) => return Answer::Nothing,
        Some(Fault::Closes) => return Answer::Close,
        Some(Fault::BreaksOff) => return Answer::Half(act()),
        Some(Fault::Late(time)) => {
            thread::sleep(*time);
            act()
        }
        Some(Fault::Replace(field, value)) => {
            let mut response = act();
            let mut body: Value = serde_json::from_str(&response.body).expect("the fake writes JSON");
            if body.get(field).is_some() {
                body[field] = value.clone();
            }
            response.body = body.to_string();
            response
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_calls_fails_evenly() {
        let mut rule = Rule::from(Fault::Closes).percent(30);
        let hits = (0..1000).filter(|_| rule.take("Encrypt", "r").is_some()).count();
        assert_eq!(hits, 300);
        let mut rule = Rule::from(Fault::Closes).of("Decrypt").in_region("r").times(2);
        assert!(rule.take("Encrypt", "r").is_none() && rule.take("Decrypt", "s").is_none());
        let hits = (0..10).filter(|_| rule.take("Decrypt", "r").is_some()).count();
        assert_eq!(hits, 2);
    }
}
