"""LLVM assembly that finds gradients as C code for Python would, and reads their norms.

Words in capitals stand for addresses and numbers of this process.
"""

# A request is that of `ObjectNorms`; the next call writes its norms behind these. A
# reference stands for: a weak reference to a parameter for its gradient, if `grad` is the
# name of that attribute; if it is null, the gradient itself; null for none. The states are
# those of `ObjectNorms`. Returns how many differ from those before.
NORMS = """\
%request = type { ptr, i64, ptr, i64, ptr, ptr }
define i64 @gradsound_norms(ptr %request) {
entry:
  %tensor = alloca [48 x i8], align 8
  %all = load %request, ptr %request
  %references = extractvalue %request %all, 0
  %count = extractvalue %request %all, 1
  %grad = extractvalue %request %all, 2
  %largest = extractvalue %request %all, 3
  %norms = extractvalue %request %all, 4
  %states = extractvalue %request %all, 5
  %next_norms = getelementptr double, ptr %norms, i64 %count
  %next_norms_at = getelementptr %request, ptr %request, i64 0, i32 4
  store ptr %next_norms, ptr %next_norms_at
  br label %loop
loop:
  %k = phi i64 [0, %entry], [%k_next, %store]
  %changes = phi i64 [0, %entry], [%changes_next, %store]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %reference, label %end
end:
  ret i64 %changes
reference:
  %reference_at = getelementptr ptr, ptr %references, i64 %k
  %object = load ptr, ptr %reference_at
  %absent = icmp eq ptr %object, null
  br i1 %absent, label %store, label %found
found:
  %is_gradient = icmp eq ptr %grad, null
  br i1 %is_gradient, label %given, label %weak
given:
  call void INCREASE(ptr %object)
  br label %gradient
weak:
  %parameter = call ptr @dereference(ptr %object)
  %gone = icmp eq ptr %parameter, null
  br i1 %gone, label %store, label %alive
alive:
  %attribute = call ptr GET_ATTRIBUTE(ptr %parameter, ptr %grad)
  call void DECREASE(ptr %parameter)
  br label %gradient
gradient:
  %g = phi ptr [%object, %given], [%attribute, %alive]
  %failed = icmp eq ptr %g, null
  br i1 %failed, label %error, label %any
error:
  call void CLEAR_ERROR()
  br label %store
any:
  %is_none = icmp eq ptr %g, NONE
  br i1 %is_none, label %release, label %typed
typed:
  %type = call ptr GET_TYPE(ptr %g)
  call void DECREASE(ptr %type)
  %is_tensor = icmp eq ptr %type, TENSOR
  br i1 %is_tensor, label %described, label %release
described:
  %error_code = call i32 DESCRIBE(ptr %g, ptr %tensor)
  %fine = icmp eq i32 %error_code, 0
  br i1 %fine, label %device, label %undescribed
undescribed:
  call void CLEAR_ERROR()
  br label %release
device:
  %device_at = getelementptr i8, ptr %tensor, i64 8
  %device_type = load i32, ptr %device_at
  %is_cpu = icmp eq i32 %device_type, CPU
  %dtype_at = getelementptr i8, ptr %tensor, i64 20
  %dtype = load i32, ptr %dtype_at
  %is_float32 = icmp eq i32 %dtype, FLOAT32
  %usual = and i1 %is_cpu, %is_float32
  br i1 %usual, label %layout, label %release
layout:
  %size = call i64 @dense_size(ptr %tensor)
  %readable = icmp ule i64 %size, %largest
  br i1 %readable, label %memory, label %release
memory:
  %data = load ptr, ptr %tensor
  %is_empty = icmp eq ptr %data, null
  br i1 %is_empty, label %release, label %read
read:
  %offset_at = getelementptr i8, ptr %tensor, i64 40
  %offset = load i64, ptr %offset_at
  %elements = getelementptr i8, ptr %data, i64 %offset
  %norm_read = call double @norm(ptr %elements, i64 %size)
  br label %release
release:
  %state_found = phi i8 [1, %any], [2, %typed], [2, %undescribed], [2, %device],
    [2, %layout], [2, %memory], [0, %read]
  %norm_found = phi double [0.0, %any], [0.0, %typed], [0.0, %undescribed],
    [0.0, %device], [0.0, %layout], [0.0, %memory], [%norm_read, %read]
  call void DECREASE(ptr %g)
  br label %store
store:
  %state = phi i8 [1, %reference], [1, %weak], [2, %error], [%state_found, %release]
  %norm = phi double [0.0, %reference], [0.0, %weak], [0.0, %error],
    [%norm_found, %release]
  %norm_at = getelementptr double, ptr %norms, i64 %k
  store double %norm, ptr %norm_at
  %state_at = getelementptr i8, ptr %states, i64 %k
  %before = load i8, ptr %state_at
  store i8 %state, ptr %state_at
  %differs = icmp ne i8 %before, %state
  %difference = zext i1 %differs to i64
  %changes_next = add i64 %changes, %difference
  %k_next = add i64 %k, 1
  br label %loop
}
"""

# The number of elements of a tensor, if these lie side by side in any order; else -1. Each
# pass over the dimensions finds at least the one that goes on where those before end.
DENSE_SIZE = """\
define internal i64 @dense_size(ptr %tensor) {
entry:
  %dimensions_at = getelementptr i8, ptr %tensor, i64 16
  %dimensions_32 = load i32, ptr %dimensions_at
  %dimensions = sext i32 %dimensions_32 to i64
  %shape_at = getelementptr i8, ptr %tensor, i64 24
  %shape = load ptr, ptr %shape_at
  %strides_at = getelementptr i8, ptr %tensor, i64 32
  %strides = load ptr, ptr %strides_at
  br label %count
count:
  %i = phi i64 [0, %entry], [%i_next, %factor]
  %size = phi i64 [1, %entry], [%size_next, %factor]
  %uncounted = icmp slt i64 %i, %dimensions
  br i1 %uncounted, label %factor, label %pass
factor:
  %factor_at = getelementptr i64, ptr %shape, i64 %i
  %length_i = load i64, ptr %factor_at
  %size_next = mul i64 %size, %length_i
  %i_next = add i64 %i, 1
  br label %count
pass:
  %dense_before = phi i64 [1, %count], [%dense, %incomplete]
  br label %dimension
dimension:
  %left = phi i64 [%dimensions, %pass], [%k, %check]
  %dense = phi i64 [%dense_before, %pass], [%dense_next, %check]
  %any = icmp sgt i64 %left, 0
  br i1 %any, label %check, label %passed
check:
  %k = sub i64 %left, 1
  %length_at = getelementptr i64, ptr %shape, i64 %k
  %length = load i64, ptr %length_at
  %stride_at = getelementptr i64, ptr %strides, i64 %k
  %stride = load i64, ptr %stride_at
  %is_next = icmp eq i64 %stride, %dense
  %larger = mul i64 %dense, %length
  %dense_next = select i1 %is_next, i64 %larger, i64 %dense
  br label %dimension
passed:
  %is_dense = icmp eq i64 %dense, %size
  br i1 %is_dense, label %end, label %incomplete
incomplete:
  %stuck = icmp eq i64 %dense, %dense_before
  br i1 %stuck, label %scattered, label %pass
end:
  ret i64 %size
scattered:
  ret i64 -1
}
"""

# The object of a weak reference, which the caller releases; null if it is gone.
DEREFERENCE = """\
define internal ptr @dereference(ptr %weak) {
  %at = alloca ptr
  store ptr null, ptr %at
  call i32 DEREFERENCE(ptr %weak, ptr %at)
  %object = load ptr, ptr %at
  ret ptr %object
}
"""

# The same for Python before 3.13.
DEREFERENCE_BORROWED = """\
define internal ptr @dereference(ptr %weak) {
  %object = call ptr DEREFERENCE(ptr %weak)
  %gone = icmp eq ptr %object, NONE
  br i1 %gone, label %none, label %alive
none:
  ret ptr null
alive:
  call void INCREASE(ptr %object)
  ret ptr %object
}
"""
