"""LLVM assembly that sums the squares of a gradient, by one thread or by several.

Words in capitals stand for addresses of this process. The threads are those of OpenMP,
which torch uses, too.
"""

# The L2 norm of float32 numbers. Their squares are summed in float64, where they neither
# overflow nor become 0.
NORM = """\
declare double @llvm.sqrt.f64(double)
define internal double @norm(ptr %elements, i64 %size) {
  %squares = call double @all_squares(ptr %elements, i64 %size)
  %norm = call double @llvm.sqrt.f64(double %squares)
  ret double %norm
}
"""

SQUARES = """\
declare <32 x double> @llvm.fmuladd.v32f64(<32 x double>, <32 x double>, <32 x double>)
declare double @llvm.vector.reduce.fadd.v32f64(double, <32 x double>)
declare double @llvm.fmuladd.f64(double, double, double)
define internal double @squares(ptr %elements, i64 %size) {
entry:
  %whole = and i64 %size, -32
  %any = icmp sgt i64 %whole, 0
  br i1 %any, label %vectors, label %sum
vectors:
  %i = phi i64 [0, %entry], [%i_next, %vectors]
  %sums = phi <32 x double> [zeroinitializer, %entry], [%sums_next, %vectors]
  %vector_at = getelementptr float, ptr %elements, i64 %i
  %vector = load <32 x float>, ptr %vector_at, align 4
  %wide = fpext <32 x float> %vector to <32 x double>
  %sums_next = call <32 x double> @llvm.fmuladd.v32f64(
    <32 x double> %wide, <32 x double> %wide, <32 x double> %sums)
  %i_next = add i64 %i, 32
  %more = icmp slt i64 %i_next, %whole
  br i1 %more, label %vectors, label %sum
sum:
  %all = phi <32 x double> [zeroinitializer, %entry], [%sums_next, %vectors]
  %square = call reassoc double @llvm.vector.reduce.fadd.v32f64(
    double 0.0, <32 x double> %all)
  br label %rest
rest:
  %k = phi i64 [%whole, %sum], [%k_next, %one]
  %squares = phi double [%square, %sum], [%squares_next, %one]
  %left = icmp slt i64 %k, %size
  br i1 %left, label %one, label %done
one:
  %one_at = getelementptr float, ptr %elements, i64 %k
  %single = load float, ptr %one_at
  %double = fpext float %single to double
  %squares_next = call double @llvm.fmuladd.f64(double %double, double %double,
    double %squares)
  %k_next = add i64 %k, 1
  br label %rest
done:
  ret double %squares
}
"""

# All of them by this thread.
ONE_THREAD = """\
define internal double @all_squares(ptr %elements, i64 %size) {
  %squares = call double @squares(ptr %elements, i64 %size)
  ret double %squares
}
"""

# All of them by as many threads as torch would take: one for each 32,768 numbers at most. A
# job has the numbers and a sum for each thread; what one thread stores, no other reads.
THREADS = """\
%job = type { ptr, i64, [64 x double] }
declare i64 @llvm.umin.i64(i64, i64)
declare double @llvm.vector.reduce.fadd.v64f64(double, <64 x double>)
define internal void @part(ptr %job) {
  %elements = load ptr, ptr %job
  %size_at = getelementptr %job, ptr %job, i64 0, i32 1
  %size = load i64, ptr %size_at
  %number_32 = call i32 THREAD_NUMBER()
  %number = zext i32 %number_32 to i64
  %count_32 = call i32 THREAD_COUNT()
  %count = zext i32 %count_32 to i64
  %share = udiv i64 %size, %count
  %whole = and i64 %share, -32
  %begin = mul i64 %whole, %number
  %after = add i64 %number, 1
  %is_last = icmp eq i64 %after, %count
  %left = sub i64 %size, %begin
  %length = select i1 %is_last, i64 %left, i64 %whole
  %begin_at = getelementptr float, ptr %elements, i64 %begin
  %squares = call double @squares(ptr %begin_at, i64 %length)
  %sum_at = getelementptr %job, ptr %job, i64 0, i32 2, i64 %number
  store double %squares, ptr %sum_at
  ret void
}
define internal double @all_squares(ptr %elements, i64 %size) {
entry:
  %job = alloca %job, align 64
  %shares = lshr i64 %size, 15
  %most_32 = call i32 MOST_THREADS()
  %most = zext i32 %most_32 to i64
  %few = call i64 @llvm.umin.i64(i64 %most, i64 %shares)
  %threads = call i64 @llvm.umin.i64(i64 %few, i64 64)
  %several = icmp ugt i64 %threads, 1
  br i1 %several, label %parallel, label %alone
alone:
  %squares = call double @squares(ptr %elements, i64 %size)
  ret double %squares
parallel:
  store ptr %elements, ptr %job
  %size_at = getelementptr %job, ptr %job, i64 0, i32 1
  store i64 %size, ptr %size_at
  %sums_at = getelementptr %job, ptr %job, i64 0, i32 2
  store <64 x double> zeroinitializer, ptr %sums_at, align 8
  %threads_32 = trunc i64 %threads to i32
  call void PARALLEL(ptr @part, ptr %job, i32 %threads_32, i32 0)
  %sums = load <64 x double>, ptr %sums_at, align 8
  %sum = call reassoc double @llvm.vector.reduce.fadd.v64f64(double 0.0,
    <64 x double> %sums)
  ret double %sum
}
"""
