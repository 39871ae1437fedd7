use crate::Result;
pub fn command(parser: lexopt::Parser) -> Result<()> {
    crate::no_arguments(parser)
}
