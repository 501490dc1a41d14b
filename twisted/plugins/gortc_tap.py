from twisted.application.service import ServiceMaker

gortc = ServiceMaker("gortc", "gortc.tap", "A telecom application server: call logic over WebSocket", "gortc")
