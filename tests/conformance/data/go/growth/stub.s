// SPDX-License-Identifier: BSD-3-Clause
// Its presence lets growth.go declare functions without a body.
