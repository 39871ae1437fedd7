//! Operations that compute nothing and record the memory that others would allocate.
//!
//! A network that is built on them and run with [fake tensors](super::fake) records an allocation
//! for every tensor that an operation makes, and a free once its last clone or view is gone. The
//! network is the one that makes pictures, so the record has its order of operations and its
//! lifetimes of tensors. Memory that an operation needs besides its result, such as the statistics
//! of a GroupNorm, is recorded here.
//!
//! The host is enough for this. A memory plan is needed on machines without a GPU too, where there
//! is no device memory to count with.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;

use super::fake::{fake_tensor, primitive};
use super::{Attention, Conv3x3, GroupNorm, Linear, NagImages, Ops};
use crate::config::Activation;

/// Entry of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryEvent {
    /// A tensor is made.
    Allocate {
        /// Number of the tensor, counted from the start of the record.
        tensor: usize,
        /// Its size.
        bytes: u64,
    },
    /// The last clone of a tensor is gone.
    Free {
        /// Number of the tensor.
        tensor: usize,
    },
}

/// Operations that the memory is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// [`Cpu`](super::Cpu).
    Cpu,
    /// [`Gpu`](super::Gpu). [`Stock`](super::Stock) on a GPU is counted as this too: the memory
    /// that Burn's own operations need besides their results is not known here.
    Gpu,
}

/// Operations that record allocations instead of computing.
#[derive(Clone)]
pub struct Counting {
    counted: Counted,
    record: Rc<RefCell<Record>>,
}

#[derive(Default)]
struct Record {
    events: Vec<MemoryEvent>,
    /// Number of the next tensor.
    next: usize,
    /// Clones of all tensors that are not freed. A clone here is the last one when the network has
    /// dropped its own.
    live: Vec<(usize, FlexTensor)>,
}

impl Counting {
    /// Operations with an empty record.
    pub fn new(counted: Counted) -> Self {
        Counting {
            counted,
            record: Rc::default(),
        }
    }

    /// Records the allocation of a tensor, and makes a fake one.
    pub fn tensor<const D: usize>(&self, shape: [usize; D], dtype: DType) -> Tensor<D> {
        let tensor = fake_tensor(shape, dtype);
        let elements: u64 = shape.iter().map(|&side| side as u64).product();
        let mut record = self.record.borrow_mut();
        record.free_dead();
        let number = record.next;
        record.next += 1;
        record.live.push((number, primitive(&tensor)));
        record.events.push(MemoryEvent::Allocate {
            tensor: number,
            bytes: elements * dtype.size() as u64,
        });
        tensor
    }

    /// The events since the last call, frees up to now included.
    pub fn take_events(&self) -> Vec<MemoryEvent> {
        let mut record = self.record.borrow_mut();
        record.free_dead();
        std::mem::take(&mut record.events)
    }

    /// A tensor with the shape and type of `x`.
    fn like<const D: usize>(&self, x: &Tensor<D>) -> Tensor<D> {
        self.tensor(x.dims(), x.dtype())
    }
}

impl Record {
    /// Records the frees of tensors that the network has dropped.
    fn free_dead(&mut self) {
        let Record { events, live, .. } = self;
        live.retain(|(tensor, storage)| {
            let dead = storage.is_unique();
            if dead {
                events.push(MemoryEvent::Free { tensor: *tensor });
            }
            !dead
        });
    }
}

// Arguments live until an operation returns, so that they and the result are in memory together.
impl Ops for Counting {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        let [n, h, w, c] = args.x.dims();
        // The CPU's convolution reads from a copy with a border of zeros.
        let [rows, columns] = args.upsample_to.unwrap_or([h, w]);
        let padded = [rows, columns].map(|side| side.next_multiple_of(2) + 2);
        let _padded = (self.counted == Counted::Cpu)
            .then(|| self.tensor([n, padded[0], padded[1], c], DType::F32));
        let [h, w] = args.output_size();
        self.tensor([n, h, w, args.weight.dims()[1]], args.x.dtype())
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        let [n, t, _] = args.x.dims();
        self.tensor([n, t, args.weight.dims()[1]], args.x.dtype())
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, _bias: &Tensor<1>) -> Tensor<3> {
        let [n, t, _] = x.dims();
        let width = weight.dims()[1];
        // The CPU computes values and gates first, and then their product.
        let _both = (self.counted == Counted::Cpu).then(|| self.tensor([n, t, width], x.dtype()));
        self.tensor([n, t, width / 2], x.dtype())
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        self.like(&args.q)
    }

    fn attention_with_nag(&self, args: Attention, guided: NagImages) -> Tensor<3> {
        // Guided images attend to the negative prompt too.
        let [n, t, c] = args.q.dims();
        let all = self.tensor([2 * n - guided.first, t, c], args.q.dtype());
        all.narrow(0, 0, n)
    }

    fn attention_with_identity(&self, args: Attention) -> Tensor<3> {
        self.like(&args.q)
    }

    fn append(&self, x: Tensor<3>, _from: &Tensor<3>, _image: usize) -> Tensor<3> {
        let [n, t, c] = x.dims();
        self.tensor([n + 1, t, c], x.dtype())
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        let [n, h, w, _] = args.x.dims();
        // Count, mean and squares of each group. They are made in several parts, but that is little
        // compared with the maps.
        let _statistics =
            (self.counted == Counted::Gpu).then(|| self.tensor([n, args.groups, 1, 4], DType::F32));
        self.tensor([n, h, w, args.weight.dims()[0]], args.x.dtype())
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        _weight: &Tensor<1>,
        _bias: &Tensor<1>,
        _eps: f64,
    ) -> Tensor<3> {
        self.like(&x)
    }

    fn activation(&self, x: Tensor<3>, _activation: Activation) -> Tensor<3> {
        self.like(&x)
    }

    fn silu(&self, x: Tensor<3>) -> Tensor<3> {
        self.like(&x)
    }

    fn side_by_side(&self, parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
        let (first, _) = &parts[0];
        self.tensor([first.dims()[0], width], first.dtype())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocated(tensor: usize, bytes: u64) -> MemoryEvent {
        MemoryEvent::Allocate { tensor, bytes }
    }

    #[test]
    fn a_tensor_is_freed_with_its_last_view() {
        let ops = Counting::new(Counted::Gpu);
        let x = ops.tensor([2, 3, 4, 8], DType::F16);
        let view = x.clone().reshape([2, 12, 8]);
        let part = view.clone().slice([0..1, 2..5]);
        drop((x, view));
        assert_eq!(ops.take_events(), [allocated(0, 384)]);
        drop(part);
        let _other = ops.tensor([5], DType::F32);
        let free = MemoryEvent::Free { tensor: 0 };
        assert_eq!(ops.take_events(), [free, allocated(1, 20)]);
    }

    #[test]
    fn arguments_outlive_the_operation() {
        let ops = Counting::new(Counted::Gpu);
        let (weight, bias) = (
            fake_tensor([72, 16], DType::F16),
            fake_tensor([16], DType::F32),
        );
        let x = ops.tensor([1, 5, 4, 8], DType::F16);
        let y = ops.conv3x3(Conv3x3 {
            stride: 2,
            ..Conv3x3::new(x, &weight, &bias)
        });
        assert_eq!(y.dims(), [1, 3, 2, 16]);
        let free = MemoryEvent::Free { tensor: 0 };
        let expected = [allocated(0, 320), allocated(1, 192), free];
        assert_eq!(ops.take_events(), expected);
    }

    #[test]
    fn the_cpu_pads_a_convolution_and_computes_gates_apart() {
        let ops = Counting::new(Counted::Cpu);
        let (weight, bias) = (
            fake_tensor([72, 16], DType::F32),
            fake_tensor([16], DType::F32),
        );
        let x = fake_tensor([1, 5, 4, 8], DType::F32);
        drop(ops.conv3x3(Conv3x3::new(x, &weight, &bias)));
        let free = |tensor| MemoryEvent::Free { tensor };
        let (padded, map) = (8 * 6 * 8 * 4, 5 * 4 * 16 * 4);
        let expected = [allocated(0, padded), allocated(1, map), free(0), free(1)];
        assert_eq!(ops.take_events(), expected);
        drop(ops.geglu(fake_tensor([1, 3, 72], DType::F32), &weight, &bias));
        let expected = [allocated(2, 192), allocated(3, 96), free(2), free(3)];
        assert_eq!(ops.take_events(), expected);
    }
}
