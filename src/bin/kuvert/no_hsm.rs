//! `kuvert hsm` in a build that has no PKCS#11: told, with the build that has it.

use crate::args::HsmArguments;
use crate::failure::Failure;
use crate::keys;

pub(crate) fn run(_: &HsmArguments) -> Result<(), Failure> {
    keys::hsm::is_there()
}
