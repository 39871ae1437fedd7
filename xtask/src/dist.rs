use crate::{Result, args::Args};
pub fn command(_: Args) -> Result<()> {
    Err(String::new())
}
