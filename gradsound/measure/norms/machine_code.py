"""LLVM assembly that finds gradients as C code for Python would, and reads their norms.

Words in capitals stand for addresses and numbers of this process.
"""

# A request is that of `ObjectNorms`; the next call writes the next row of norms. A
# reference stands for: a weak reference to a parameter for its gradient, if `grad` is the
# name of that attribute; if it is null, the gradient itself; null for none. The states are
# those of `ObjectNorms`. Returns how many differ from those before.
NORMS = """\
%request = type { ptr, i64, ptr, i64, ptr, ptr, i64 }
define internal i64 @norms(ptr %request) {
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
  %row = extractvalue %request %all, 6
  %next_row = add i64 %row, 1
  %row_at = getelementptr %request, ptr %request, i64 0, i32 6
  store i64 %next_row, ptr %row_at
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

# The built-in function that reads the norms of a request, which is the memory; returns
# whether any state differs from that before.
READ = """\
define ptr @gradsound_read(ptr %memory, ptr %nothing) {
  %request = call ptr MEMORY(ptr %memory)
  %changes = call i64 @norms(ptr %request)
  %any = icmp ne i64 %changes, 0
  %flag = zext i1 %any to i64
  %result = call ptr NEW_BOOL(i64 %flag)
  ret ptr %result
}
"""

# The built-in function that an optimizer calls before a step. The memory is that of
# `RepeatedSteps`: flag, number of steps, how many there may be, when to emit them, times
# of the steps, what the optimizer holds, request, and in Python the hook and the function
# that emits. Arguments are the optimizer, and those of its step. It measures the step alone
# if the flag is set and the step is like the one before, else it calls the hook. If the
# optimizer holds others, the flag becomes -1. A gradient of another kind leaves a state
# that no gradient has, so that the hook sees the change too.
REPEATED_STEP = """\
%steps = type { i64, i64, i64, double, ptr, ptr, ptr, ptr, ptr }
define ptr @gradsound_step(ptr %memory, ptr %arguments, i64 %count) {
entry:
  %clock = alloca { i64, i64 }
  %steps_at = call ptr MEMORY(ptr %memory)
  %steps = load %steps, ptr %steps_at
  %optimizer = load ptr, ptr %arguments
  %positional_at = getelementptr ptr, ptr %arguments, i64 1
  %positional = load ptr, ptr %positional_at
  %named_at = getelementptr ptr, ptr %arguments, i64 2
  %named = load ptr, ptr %named_at
  %flag = extractvalue %steps %steps, 0
  %repeats = icmp ne i64 %flag, 0
  br i1 %repeats, label %closure, label %python
closure:
  %named_count = call i64 DICT_SIZE(ptr %named)
  %is_unnamed = icmp eq i64 %named_count, 0
  br i1 %is_unnamed, label %second, label %python
second:
  %positional_count = call i64 TUPLE_SIZE(ptr %positional)
  %is_alone = icmp eq i64 %positional_count, 1
  br i1 %is_alone, label %room, label %argument
argument:
  %is_pair = icmp eq i64 %positional_count, 2
  br i1 %is_pair, label %value, label %python
value:
  %given = call ptr TUPLE_ITEM(ptr %positional, i64 1)
  %is_none = icmp eq ptr %given, NONE
  br i1 %is_none, label %room, label %python
room:
  %number = extractvalue %steps %steps, 1
  %most = extractvalue %steps %steps, 2
  %has_room = icmp slt i64 %number, %most
  br i1 %has_room, label %time, label %python
time:
  call i32 CLOCK(i32 1, ptr %clock)
  %whole = load i64, ptr %clock
  %nanoseconds_at = getelementptr { i64, i64 }, ptr %clock, i64 0, i32 1
  %nanoseconds = load i64, ptr %nanoseconds_at
  %whole_nanoseconds = mul i64 %whole, 1000000000
  %all_nanoseconds = add i64 %whole_nanoseconds, %nanoseconds
  %float_nanoseconds = sitofp i64 %all_nanoseconds to double
  %now = fdiv double %float_nanoseconds, 1.0e9
  %table = extractvalue %steps %steps, 5
  %is_held = call i1 @holds(ptr %optimizer, ptr %table)
  br i1 %is_held, label %read, label %other
other:
  store i64 -1, ptr %steps_at
  br label %python
read:
  %request = extractvalue %steps %steps, 6
  %before = load %request, ptr %request
  %attribute = extractvalue %request %before, 2
  %has_no_parameters = icmp eq ptr %attribute, null
  br i1 %has_no_parameters, label %python, label %norms
norms:
  %changes = call i64 @norms(ptr %request)
  %is_like = icmp eq i64 %changes, 0
  br i1 %is_like, label %keep, label %unlike
keep:
  %times = extractvalue %steps %steps, 4
  %time_at = getelementptr double, ptr %times, i64 %number
  store double %now, ptr %time_at
  %number_next = add i64 %number, 1
  %number_at = getelementptr %steps, ptr %steps_at, i64 0, i32 1
  store i64 %number_next, ptr %number_at
  %due = extractvalue %steps %steps, 3
  %is_due = fcmp oge double %now, %due
  br i1 %is_due, label %emit, label %done
emit:
  %emission = extractvalue %steps %steps, 8
  %emitted = call ptr (ptr, ...) CALL(ptr %emission, ptr null)
  ret ptr %emitted
done:
  call void INCREASE(ptr NONE)
  ret ptr NONE
unlike:
  %states = extractvalue %request %before, 5
  store %request %before, ptr %request
  store i8 -1, ptr %states
  br label %python
python:
  call void CLEAR_ERROR()
  %hook = extractvalue %steps %steps, 7
  %result = call ptr (ptr, ...) CALL(ptr %hook, ptr %optimizer, ptr %positional,
    ptr %named, ptr null)
  ret ptr %result
}
"""

# Whether an optimizer holds the parameters of a table: the list of its groups, and their
# number; of each group, the group, the list of its parameters, their number, and these.
HOLDS = """\
define internal i1 @holds(ptr %optimizer, ptr %table) {
entry:
  %groups = call ptr GET_ATTRIBUTE(ptr %optimizer, ptr GROUPS)
  %is_nothing = icmp eq ptr %groups, null
  br i1 %is_nothing, label %nothing, label %list
nothing:
  ret i1 false
list:
  %table_groups = load ptr, ptr %table
  %is_list = icmp eq ptr %groups, %table_groups
  br i1 %is_list, label %check_number, label %end
check_number:
  %number = call i64 LIST_SIZE(ptr %groups)
  %number_at = getelementptr i64, ptr %table, i64 1
  %table_number = load i64, ptr %number_at
  %is_number = icmp eq i64 %number, %table_number
  br i1 %is_number, label %groups_begin, label %end
groups_begin:
  %first = getelementptr i64, ptr %table, i64 2
  br label %next
next:
  %i = phi i64 [0, %groups_begin], [%i_next, %group_end]
  %row = phi ptr [%first, %groups_begin], [%row_next, %group_end]
  %more = icmp slt i64 %i, %number
  br i1 %more, label %check_group, label %end
check_group:
  %group = call ptr LIST_ITEM(ptr %groups, i64 %i)
  %table_group = load ptr, ptr %row
  %is_group = icmp eq ptr %group, %table_group
  br i1 %is_group, label %check_own, label %end
check_own:
  %own = call ptr DICT_ITEM(ptr %group, ptr PARAMETERS)
  %own_at = getelementptr i64, ptr %row, i64 1
  %table_own = load ptr, ptr %own_at
  %is_own = icmp eq ptr %own, %table_own
  br i1 %is_own, label %check_size, label %end
check_size:
  %size = call i64 LIST_SIZE(ptr %own)
  %size_at = getelementptr i64, ptr %row, i64 2
  %table_size = load i64, ptr %size_at
  %is_size = icmp eq i64 %size, %table_size
  %items = getelementptr i64, ptr %row, i64 3
  br i1 %is_size, label %parameters, label %end
parameters:
  %k = phi i64 [0, %check_size], [%k_next, %parameter_end]
  %left = icmp slt i64 %k, %size
  br i1 %left, label %check_parameter, label %group_end
check_parameter:
  %parameter = call ptr LIST_ITEM(ptr %own, i64 %k)
  %item_at = getelementptr ptr, ptr %items, i64 %k
  %table_parameter = load ptr, ptr %item_at
  %is_parameter = icmp eq ptr %parameter, %table_parameter
  br i1 %is_parameter, label %parameter_end, label %end
parameter_end:
  %k_next = add i64 %k, 1
  br label %parameters
group_end:
  %i_next = add i64 %i, 1
  %row_next = getelementptr ptr, ptr %items, i64 %size
  br label %next
end:
  %holds = phi i1 [false, %list], [false, %check_number], [true, %next],
    [false, %check_group], [false, %check_own], [false, %check_size],
    [false, %check_parameter]
  call void DECREASE(ptr %groups)
  ret i1 %holds
}
"""
