// Every kind of derived weight; derive.py computes the same values another way.
// The symbols are the names in derive.expected.safetensors.
transformer.weight @a : tensor<6x10xf32> from "derive.source.safetensors"
transformer.weight @wide : tensor<5x7xf64> from "derive.source.safetensors"
transformer.weight @half : tensor<3x4xf16> from "derive.source.safetensors"
transformer.weight @brain : tensor<3x4xbf16> from "derive.source.safetensors"
transformer.weight @table : tensor<70x45xf32> from "derive.source.safetensors" key "big"
transformer.weight @ids : tensor<4x6xi32> from "derive.source.safetensors"
transformer.weight @row : tensor<4xf32> from "derive.source.safetensors"

transformer.derive @a.bf16 = convert(@a) : tensor<6x10xbf16>
transformer.derive @a.f16 = convert(@a) : tensor<6x10xf16>
transformer.derive @wide.f32 = convert(@wide) : tensor<5x7xf32>
transformer.derive @wide.bf16 = convert(@wide) : tensor<5x7xbf16>
transformer.derive @half.f32 = convert(@half) : tensor<3x4xf32>
transformer.derive @half.bf16 = convert(@half) : tensor<3x4xbf16>
transformer.derive @brain.f32 = convert(@brain) : tensor<3x4xf32>
transformer.derive @brain.f16 = convert(@brain) : tensor<3x4xf16>
transformer.derive @ids.f32 = convert(@ids) : tensor<4x6xf32>

transformer.derive @big.t = transpose(@table) : tensor<45x70xf32>
transformer.derive @half.t.f32 = transpose(@half) : tensor<4x3xf32>
transformer.derive @ids.t = transpose(@ids) : tensor<6x4xi32>
transformer.derive @wide.t = transpose(@wide) : tensor<7x5xf64>

transformer.derive @cat0 = concat(@half, @half, @half) {axis = 0 : i64} : tensor<9x4xf16>
transformer.derive @cat1 = concat(@half, @brain) {axis = 1 : i64} : tensor<3x8xf32>
transformer.derive @plus1 = add_scalar(@a) {value = 1.0 : f64} : tensor<6x10xf32>
transformer.derive @plus1.bf16 = add_scalar(@brain) {value = 1.0 : f64} : tensor<3x4xbf16>
transformer.derive @scaled = scale(@a) {value = 8.03118920210451 : f64} : tensor<6x10xf32>
transformer.derive @rows = slice(@a) {axis = 0 : i64, begin = 2 : i64, end = 5 : i64} : tensor<3x10xf32>
transformer.derive @rows.bf16 = slice(@a) {axis = 0 : i64, begin = 2 : i64, end = 5 : i64} : tensor<3x10xbf16>
transformer.derive @columns = slice(@a) {axis = 1 : i64, begin = 3 : i64, end = 4 : i64} : tensor<6x1xf32>

// A chain; @big.t above is shared by two readers.
transformer.derive @chain.rows = slice(@big.t) {axis = 0 : i64, begin = 10 : i64, end = 20 : i64} : tensor<10x70xf32>
transformer.derive @chain = convert(@chain.rows) : tensor<10x70xbf16>

transformer.derive @cos.none = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<300x4xf32>
transformer.derive @sin.none = rope_table() {part = "sin", scaling = "none", theta = 1.0e4 : f64} : tensor<300x4xf32>
transformer.derive @sin.bf16 = rope_table() {part = "sin", scaling = "none", theta = 1.0e4 : f64} : tensor<9x4xbf16>
transformer.derive @cos.linear = rope_table() {part = "cos", scaling = "linear", factor = 4.0 : f64, theta = 1.0e4 : f64} : tensor<20x4xf32>
// Llama 3.2
transformer.derive @cos.llama3 = rope_table() {part = "cos", scaling = "llama3", factor = 32.0 : f64, low_freq_factor = 1.0 : f64, high_freq_factor = 4.0 : f64, original_max_positions = 8192 : i64, theta = 5.0e5 : f64} : tensor<16x32xf32>
transformer.derive @sin.llama3 = rope_table() {part = "sin", scaling = "llama3", factor = 32.0 : f64, low_freq_factor = 1.0 : f64, high_freq_factor = 4.0 : f64, original_max_positions = 8192 : i64, theta = 5.0e5 : f64} : tensor<16x32xf32>
transformer.derive @cos.longrope = rope_table() {part = "cos", scaling = "longrope", ext_factors = array<f64: 1.0, 1.25, 2.0, 4.5, 9.0, 40.0>, attention_factor = 1.1902380714238083 : f64, theta = 1.0e4 : f64} : tensor<16x6xf32>
transformer.derive @sin.longrope = rope_table() {part = "sin", scaling = "longrope", ext_factors = array<f64: 1.0, 1.25, 2.0, 4.5, 9.0, 40.0>, attention_factor = 1.1902380714238083 : f64, theta = 1.0e4 : f64} : tensor<16x6xf32>
// Qwen 2.5 with its long-context setting
transformer.derive @cos.yarn = rope_table() {part = "cos", scaling = "yarn", factor = 4.0 : f64, beta_fast = 32.0 : f64, beta_slow = 1.0 : f64, attention_factor = 1.138629436111989 : f64, original_max_positions = 32768 : i64, theta = 1.0e6 : f64} : tensor<16x32xf32>
transformer.derive @sin.yarn = rope_table() {part = "sin", scaling = "yarn", factor = 4.0 : f64, beta_fast = 32.0 : f64, beta_slow = 1.0 : f64, attention_factor = 1.138629436111989 : f64, original_max_positions = 32768 : i64, theta = 1.0e6 : f64} : tensor<16x32xf32>
transformer.derive @filled = fill() {value = -0.3 : f64} : tensor<3x2xbf16>
transformer.derive @scaled.columns = scale_columns(@half, @row) : tensor<3x4xf32>
transformer.derive @sum = add(@half, @brain, @half) : tensor<3x4xf32>
transformer.derive @product = matmul(@table, @big.t) : tensor<70x70xf32>
transformer.derive @product.vector = matmul(@half, @row) : tensor<3xf32>
// The best approximation of rank 3 of a tall and of a wide matrix, each as its factors' product.
transformer.derive @tall.left = factorize(@table) {rank = 3 : i64, part = "left"} : tensor<70x3xf64>
transformer.derive @tall.right = factorize(@table) {rank = 3 : i64, part = "right"} : tensor<3x45xf64>
transformer.derive @tall.low = matmul(@tall.left, @tall.right) : tensor<70x45xf32>
transformer.derive @wide.left = factorize(@big.t) {rank = 3 : i64, part = "left"} : tensor<45x3xf64>
transformer.derive @wide.right = factorize(@big.t) {rank = 3 : i64, part = "right"} : tensor<3x70xf64>
transformer.derive @wide.low = matmul(@wide.left, @wide.right) : tensor<45x70xf32>
transformer.derive @sinusoid.split = sinusoid() {layout = "split"} : tensor<10x6xf32>
transformer.derive @sinusoid.interleaved = sinusoid() {layout = "interleaved"} : tensor<10x6xf32>
transformer.derive @sinusoid.odd = sinusoid() {layout = "split"} : tensor<5x5xf32>
