//! Layers that hold weights: the building blocks of the text encoder, the U-Net and the VAE.

pub mod layers;
pub mod resnet;
